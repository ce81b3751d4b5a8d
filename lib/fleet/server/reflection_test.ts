import { assertArrayIncludes, assertEquals } from "../../../tests/assert.ts";
import { DESCRIPTOR_SET } from "../proto/descriptors.gen.ts";
import type { ServerReflectionRequest } from "../proto/grpc/reflection/v1/reflection.gen.ts";
import { Reflection } from "./reflection.ts";

const NOTHING: ServerReflectionRequest = {
  host: "",
  fileByFilename: undefined,
  fileContainingSymbol: undefined,
  fileContainingExtension: undefined,
  allExtensionNumbersOfType: undefined,
  listServices: undefined,
};
const reflection = new Reflection(DESCRIPTOR_SET);

Deno.test("Reflection lists every service", () => {
  const { listServicesResponse } = reflection.answer({ ...NOTHING, listServices: "" });
  assertArrayIncludes(listServicesResponse!.service.map(({ name }) => name), [
    "ebpfmon.v1.Fleet",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
  ]);
});

Deno.test("Reflection finds the file of services, methods, messages, fields and enums", () => {
  const byName = reflection.answer({ ...NOTHING, fileByFilename: "ebpfmon.proto" }).fileDescriptorResponse;
  for (
    const fileContainingSymbol of [
      "ebpfmon.v1.Fleet",
      "ebpfmon.v1.Fleet.Stream",
      "ebpfmon.v1.Event",
      "ebpfmon.v1.Event.ts_ns",
      "ebpfmon.v1.Severity",
      "ebpfmon.v1.InterfaceTraffic.OtherEntry",
    ]
  ) {
    assertEquals(reflection.answer({ ...NOTHING, fileContainingSymbol }).fileDescriptorResponse, byName);
  }
});

Deno.test("Reflection says NOT_FOUND for what is not there", () => {
  for (const request of [{ fileContainingSymbol: "ebpfmon.v1.No" }, { fileByFilename: "no.proto" }, {}]) {
    assertEquals(reflection.answer({ ...NOTHING, ...request }).errorResponse?.errorCode, 5);
  }
});
