import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { createEventsApp } from "./events_app.ts";

const SOURCE = { attached: () => false, metrics: () => "ebpfmon_events_total 1\n" };

Deno.test("the events app serves metrics and health", async () => {
  const app = createEventsApp(SOURCE, { loopback: true });
  const metrics = await app.request("http://localhost:9464/metrics");
  assertEquals(await metrics.text(), SOURCE.metrics());
  assertStringIncludes(metrics.headers.get("content-type")!, "version=0.0.4");
  assertEquals(metrics.headers.get("x-content-type-options"), "nosniff");
  const status = async (path: string) => (await app.request(`http://[::1]${path}`)).status;
  assertEquals([await status("/"), await status("/healthz"), await status("/readyz")], [200, 200, 503]);
  assertEquals(await status("/nothing"), 404);
});

Deno.test("the events app answers a page of the web only where others may connect", async () => {
  const status = async (loopback: boolean) =>
    (await createEventsApp(SOURCE, { loopback }).request("http://evil.example/metrics")).status;
  assertEquals([await status(true), await status(false)], [403, 200]);
});
