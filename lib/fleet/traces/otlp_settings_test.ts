import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { otlpSettings } from "./otlp_settings.ts";

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318" };
const mistake = (env: Record<string, string>) =>
  assertThrows(() => otlpSettings({ ...ENDPOINT, ...env }), TypeError).message;

Deno.test("otlpSettings() is null without an endpoint, or where the SDK is disabled", () => {
  assertEquals(otlpSettings({}), null);
  assertEquals(otlpSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: "" }), null);
  assertEquals(otlpSettings({ ...ENDPOINT, OTEL_SDK_DISABLED: "TRUE" }), null);
});

Deno.test("otlpSettings() adds the path to the general endpoint, and not to the one for traces", () => {
  const url = (env: Record<string, string>) => otlpSettings(env)!.url;
  assertEquals(url(ENDPOINT), "http://h:4318/v1/traces");
  assertEquals(url({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://h/base/" }), "https://h/base/v1/traces");
  assertEquals(url({ ...ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t:1/x" }), "http://t:1/x");
});

Deno.test("otlpSettings() reads what the specification names, traces first", () => {
  assertEquals(otlpSettings(ENDPOINT), {
    url: "http://h:4318/v1/traces",
    headers: {},
    timeoutMs: 10_000,
    compression: "none",
  });
  assertEquals(
    otlpSettings({
      ...ENDPOINT,
      OTEL_EXPORTER_OTLP_HEADERS: "a=1, B = x%2Cy ,",
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: "a=2",
      OTEL_EXPORTER_OTLP_TIMEOUT: "500",
      OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "700",
      OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_EXPORTER_OTLP_CERTIFICATE: "/ca.pem",
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: "/c.pem",
      OTEL_EXPORTER_OTLP_CLIENT_KEY: "/k.pem",
    }),
    {
      url: "http://h:4318/v1/traces",
      headers: { a: "2", b: "x,y" },
      timeoutMs: 700,
      compression: "gzip",
      certificatePath: "/ca.pem",
      clientCertificatePath: "/c.pem",
      clientKeyPath: "/k.pem",
    },
  );
});

Deno.test("otlpSettings() says which variable is wrong, and no secret", () => {
  assertEquals(
    mistake({ OTEL_EXPORTER_OTLP_ENDPOINT: "h:4318" }),
    "Cannot export traces: OTEL_EXPORTER_OTLP_ENDPOINT takes an http or https URL",
  );
  assertEquals(
    mistake({ OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "grpc" }),
    "Cannot export traces: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL takes http/protobuf, got grpc",
  );
  for (const headers of ["secret", "a=%secret", "a b=secret"]) {
    const message = mistake({ OTEL_EXPORTER_OTLP_HEADERS: headers });
    assert(message.includes("OTEL_EXPORTER_OTLP_HEADERS takes key=value"), message);
    assert(!message.includes("secret"), message);
  }
  for (const ms of ["0", "-1", "1s", "1e3"]) {
    assert(mistake({ OTEL_EXPORTER_OTLP_TIMEOUT: ms }).includes("milliseconds"));
  }
  assert(mistake({ OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" }).endsWith("takes none or gzip, got zstd"));
  assert(mistake({ OTEL_EXPORTER_OTLP_CLIENT_KEY: "/k" }).endsWith("need each other"));
});
