import * as grpc from "@grpc/grpc-js";
import { assertEquals } from "../../../tests/assert.ts";
import type { HealthCheckResponse, HealthListResponse } from "../proto/grpc/health/v1/health.gen.ts";
import { Health, HEALTH_SERVICE } from "./grpc_health.ts";

const [SERVING, NOT_SERVING, SERVICE_UNKNOWN] = [1, 2, 3];

Deno.test("Health answers checks and lists, and tells those who watch of every change", async () => {
  const health = new Health(["a.Service"]);
  const server = new grpc.Server();
  server.addService(HEALTH_SERVICE, health.implementation);
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => error ? reject(error) : resolve(port));
  });
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const check = (service: string) =>
    new Promise<number>((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.check;
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, response) => {
        if (error) reject(error);
        else resolve((response as HealthCheckResponse).status);
      });
    });
  try {
    assertEquals(await check(""), NOT_SERVING);
    const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.watch;
    const seen: Record<string, number[]> = { "a.Service": [], "no.Service": [] };
    const ended = Object.keys(seen).map((service) => {
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service });
      call.on("data", ({ status }: HealthCheckResponse) => seen[service].push(status));
      return new Promise((resolve) => call.on("end", resolve));
    });
    while (Object.values(seen).some(({ length }) => length === 0)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    health.serving = true;
    health.serving = true;
    assertEquals([await check(""), await check("a.Service")], [SERVING, SERVING]);
    assertEquals(await check("no.Service").catch(({ code }) => code), grpc.status.NOT_FOUND);
    const list = await new Promise<HealthListResponse | undefined>((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.list;
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, response) => {
        if (error) reject(error);
        else resolve(response);
      });
    });
    assertEquals(Object.keys(list!.statuses), ["", "a.Service"]);
    health.serving = false;
    health.close();
    await Promise.all(ended);
    assertEquals(seen["a.Service"], [NOT_SERVING, SERVING, NOT_SERVING]);
    assertEquals(seen["no.Service"][0], SERVICE_UNKNOWN);
  } finally {
    client.close();
    server.forceShutdown();
  }
});
