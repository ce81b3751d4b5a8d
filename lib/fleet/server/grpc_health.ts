/**
 * The service grpc.health.v1, which load balancers and Kubernetes ask. The official package is not used, because it
 * reads files beside itself, which a bundle does not have.
 */
import type * as grpc from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthListRequest,
  HealthListResponse,
} from "../proto/grpc/health/v1/health.gen.ts";
import { bufferOf } from "../method.ts";

const PATH = "/grpc.health.v1.Health";

const checkMethod = {
  requestStream: false,
  requestSerialize: (message: HealthCheckRequest) => bufferOf(HealthCheckRequest.encode(message).finish()),
  requestDeserialize: (bytes: Uint8Array) => HealthCheckRequest.decode(bytes),
  responseSerialize: (message: HealthCheckResponse) => bufferOf(HealthCheckResponse.encode(message).finish()),
  responseDeserialize: (bytes: Uint8Array) => HealthCheckResponse.decode(bytes),
};

export const HEALTH_SERVICE = {
  check: { ...checkMethod, path: `${PATH}/Check`, responseStream: false },
  watch: { ...checkMethod, path: `${PATH}/Watch`, responseStream: true },
  list: {
    path: `${PATH}/List`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: HealthListRequest) => bufferOf(HealthListRequest.encode(message).finish()),
    requestDeserialize: (bytes: Uint8Array) => HealthListRequest.decode(bytes),
    responseSerialize: (message: HealthListResponse) => bufferOf(HealthListResponse.encode(message).finish()),
    responseDeserialize: (bytes: Uint8Array) => HealthListResponse.decode(bytes),
  },
} as const satisfies grpc.ServiceDefinition;

type WatchCall = grpc.ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

export class Health {
  readonly #services: readonly string[];
  readonly #watchers = new Map<WatchCall, string>();
  #serving = false;

  /** @param services by full name; the empty name stands for the server as a whole, and is always there */
  constructor(services: readonly string[]) {
    this.#services = ["", ...services];
  }

  /** Tells all watchers. */
  set serving(serving: boolean) {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const [call, service] of this.#watchers) call.write(this.#answer(service));
  }

  /** Ends the streams of all watchers. */
  close(): void {
    for (const call of this.#watchers.keys()) call.end();
    this.#watchers.clear();
  }

  readonly implementation: grpc.UntypedServiceImplementation = {
    check: ((call, callback) => {
      if (this.#services.includes(call.request.service)) callback(null, this.#answer(call.request.service));
      else callback({ code: status.NOT_FOUND, details: "no such service" });
    }) satisfies grpc.handleUnaryCall<HealthCheckRequest, HealthCheckResponse>,
    watch: ((call) => {
      this.#watchers.set(call, call.request.service);
      const forget = () => this.#watchers.delete(call);
      call.on("cancelled", forget);
      call.on("close", forget);
      call.on("error", forget);
      call.write(this.#answer(call.request.service));
    }) satisfies grpc.handleServerStreamingCall<HealthCheckRequest, HealthCheckResponse>,
    list: ((_, callback) => {
      const statuses = Object.fromEntries(this.#services.map((service) => [service, this.#answer(service)]));
      callback(null, { statuses });
    }) satisfies grpc.handleUnaryCall<HealthListRequest, HealthListResponse>,
  };

  #answer(service: string): HealthCheckResponse {
    if (!this.#services.includes(service)) return { status: ServingStatus.SERVICE_UNKNOWN };
    return { status: this.#serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
  }
}
