/**
 * The service grpc.reflection.v1, which tells tools such as grpcurl which services there are. The official package is
 * not used, because it reads files beside itself, which a bundle does not have.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type * as grpc from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { ServerReflectionRequest, ServerReflectionResponse } from "../proto/grpc/reflection/v1/reflection.gen.ts";
import { bufferOf } from "../method.ts";

export const REFLECTION_SERVICE = {
  serverReflectionInfo: {
    path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    requestStream: true,
    responseStream: true,
    requestSerialize: (message: ServerReflectionRequest) => bufferOf(ServerReflectionRequest.encode(message).finish()),
    requestDeserialize: (bytes: Uint8Array) => ServerReflectionRequest.decode(bytes),
    responseSerialize: (message: ServerReflectionResponse) =>
      bufferOf(ServerReflectionResponse.encode(message).finish()),
    responseDeserialize: (bytes: Uint8Array) => ServerReflectionResponse.decode(bytes),
  },
} as const satisfies grpc.ServiceDefinition;

/** The parts of a google.protobuf.FileDescriptorProto that reflection needs. */
interface DescribedFile {
  name: string;
  bytes: Uint8Array;
  dependencies: string[];
  services: string[];
  /** Full names of everything that the file declares. */
  symbols: Set<string>;
}

const LENGTH_DELIMITED = 2;

/** Calls `field` with the content of each length-delimited field of a message. */
function eachField(bytes: Uint8Array, field: (number: number, content: Uint8Array) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType === LENGTH_DELIMITED) field(number, reader.bytes());
    else reader.skip(wireType);
  }
}

const text = new TextDecoder();

function nameOf(bytes: Uint8Array): string {
  let name = "";
  eachField(bytes, (number, content) => {
    if (number === 1) name = text.decode(content);
  });
  return name;
}

/**
 * Collects the names of a message, its fields, nested messages and enums. Field numbers are those of descriptor.proto.
 */
function addMessage(bytes: Uint8Array, scope: string, symbols: Set<string>): void {
  const name = `${scope}${nameOf(bytes)}`;
  symbols.add(name);
  eachField(bytes, (number, content) => {
    if (number === 3) addMessage(content, `${name}.`, symbols);
    else if (number === 2 || number === 4 || number === 8) symbols.add(`${name}.${nameOf(content)}`);
  });
}

function describe(bytes: Uint8Array): DescribedFile {
  const file: DescribedFile = { name: "", bytes, dependencies: [], services: [], symbols: new Set() };
  let scope = "";
  eachField(bytes, (number, content) => {
    if (number === 2) scope = `${text.decode(content)}.`;
  });
  eachField(bytes, (number, content) => {
    if (number === 1) file.name = text.decode(content);
    else if (number === 3) file.dependencies.push(text.decode(content));
    else if (number === 4) addMessage(content, scope, file.symbols);
    else if (number === 5) file.symbols.add(`${scope}${nameOf(content)}`);
    else if (number === 6) {
      const service = `${scope}${nameOf(content)}`;
      file.services.push(service);
      file.symbols.add(service);
      eachField(content, (number, method) => {
        if (number === 2) file.symbols.add(`${service}.${nameOf(method)}`);
      });
    }
  });
  return file;
}

export class Reflection {
  readonly #files: DescribedFile[] = [];

  /** @param descriptorSet an encoded google.protobuf.FileDescriptorSet */
  constructor(descriptorSet: Uint8Array) {
    eachField(descriptorSet, (number, content) => {
      if (number === 1) this.#files.push(describe(content));
    });
  }

  get services(): string[] {
    return this.#files.flatMap(({ services }) => services);
  }

  readonly implementation: grpc.UntypedServiceImplementation = {
    serverReflectionInfo: ((call) => {
      call.on("data", (request: ServerReflectionRequest) => call.write(this.answer(request)));
      call.on("end", () => call.end());
      // Whoever goes away in between has nothing more to ask.
      call.on("error", () => {});
    }) satisfies grpc.handleBidiStreamingCall<ServerReflectionRequest, ServerReflectionResponse>,
  };

  answer(request: ServerReflectionRequest): ServerReflectionResponse {
    const response: ServerReflectionResponse = {
      validHost: request.host,
      originalRequest: request,
      fileDescriptorResponse: undefined,
      allExtensionNumbersResponse: undefined,
      listServicesResponse: undefined,
      errorResponse: undefined,
    };
    const { fileByFilename, fileContainingSymbol } = request;
    if (request.listServices !== undefined) {
      response.listServicesResponse = { service: this.services.map((name) => ({ name })) };
      return response;
    }
    const file = fileByFilename !== undefined
      ? this.#files.find(({ name }) => name === fileByFilename)
      : fileContainingSymbol !== undefined
      ? this.#files.find(({ symbols }) => symbols.has(fileContainingSymbol))
      : undefined; // nothing here has extensions
    if (file) response.fileDescriptorResponse = { fileDescriptorProto: this.#withDependencies(file) };
    else response.errorResponse = { errorCode: status.NOT_FOUND, errorMessage: "not found" };
    return response;
  }

  #withDependencies(file: DescribedFile): Uint8Array[] {
    const found = new Set<DescribedFile>([file]);
    for (const { dependencies } of found) {
      for (const other of this.#files) {
        if (dependencies.includes(other.name)) found.add(other);
      }
    }
    return [...found].map(({ bytes }) => bytes);
  }
}
