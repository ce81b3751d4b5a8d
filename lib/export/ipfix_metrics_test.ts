import { assertEquals } from "../../tests/assert.ts";
import { addIpfixMetrics } from "./ipfix_metrics.ts";
import { PrometheusText } from "../metrics/prometheus.ts";

Deno.test("addIpfixMetrics() gives each count its metric", () => {
  const text = new PrometheusText();
  addIpfixMetrics(text, {
    messagesSent: 1,
    bytesSent: 2,
    flowsSent: 3,
    flowsDropped: 4,
    packetsDropped: 5n,
    octetsDropped: 6n,
    failures: 7,
    queuedBytes: 8,
    connected: true,
  });
  const samples = text.toString().split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assertEquals(samples, [
    "ebpfmon_export_ipfix_messages_total 1",
    "ebpfmon_export_ipfix_bytes_total 2",
    "ebpfmon_export_ipfix_flows_total 3",
    "ebpfmon_export_ipfix_dropped_flows_total 4",
    "ebpfmon_export_ipfix_dropped_packets_total 5",
    "ebpfmon_export_ipfix_dropped_octets_total 6",
    "ebpfmon_export_ipfix_failures_total 7",
    "ebpfmon_export_ipfix_queue_bytes 8",
    "ebpfmon_export_ipfix_connected 1",
  ]);
});
