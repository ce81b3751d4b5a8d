/** The metrics of the export to an IPFIX collector. */
import type { IpfixCounts } from "./ipfix_exporter.ts";
import type { PrometheusText } from "../metrics/prometheus.ts";

export function addIpfixMetrics(text: PrometheusText, counts: IpfixCounts): void {
  const counter = (name: string, help: string, value: number | bigint) =>
    text.counter(`ebpfmon_export_ipfix_${name}_total`, help, [{ value }]);
  const gauge = (name: string, help: string, value: number) =>
    text.gauge(`ebpfmon_export_ipfix_${name}`, help, [{ value }]);
  counter("messages", "IPFIX messages sent.", counts.messagesSent);
  counter("bytes", "Bytes of the IPFIX messages sent.", counts.bytesSent);
  counter("flows", "Flow records sent.", counts.flowsSent);
  counter("dropped_flows", "Flow records that were not sent.", counts.flowsDropped);
  counter("dropped_packets", "Packets in the flow records that were not sent.", counts.packetsDropped);
  counter("dropped_octets", "Bytes in the flow records that were not sent.", counts.octetsDropped);
  counter("failures", "Connections to the collector and sends that failed.", counts.failures);
  gauge("queue_bytes", "Bytes that wait to be sent.", counts.queuedBytes);
  gauge("connected", "1 while there is a way to the collector.", counts.connected ? 1 : 0);
}
