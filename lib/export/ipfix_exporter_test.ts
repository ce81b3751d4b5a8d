import { assert, assertEquals } from "../../tests/assert.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { until } from "../../tests/support/until.ts";
import { IpfixDecoder, type IpfixMessage } from "../../tests/support/ipfix.ts";
import { FLOW_TEMPLATES, RECORDS_AT, writeMessageHeader } from "../aggregate/flows/ipfix_layout.ts";
import { IpfixExporter, type IpfixExporterOptions } from "./ipfix_exporter.ts";
import type { IpfixTarget, IpfixTransport } from "./ipfix_transport.ts";

const UDP: IpfixTarget = { protocol: "udp", hostname: "192.0.2.1", port: 4739 };
const TCP: IpfixTarget = { ...UDP, protocol: "tcp" };

/** Messages of IPv4 flows, so many in each, every flow with one packet of 100 bytes. */
function flowMessages(...counts: number[]): ArrayBuffer {
  const { id, recordBytes, offset } = FLOW_TEMPLATES[4];
  const lengths = counts.map((count) => RECORDS_AT + count * recordBytes);
  const buffer = new ArrayBuffer(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  counts.forEach((count, i) => {
    const message = new DataView(buffer, at, lengths[i]);
    writeMessageHeader(message, id);
    for (let record = 0; record < count; record++) {
      message.setBigUint64(RECORDS_AT + record * recordBytes + offset.packets!, 1n);
      message.setBigUint64(RECORDS_AT + record * recordBytes + offset.octets!, 100n);
    }
    at += lengths[i];
  });
  return buffer;
}

/** A collector that can be away and can stop taking anything. */
class FakeCollector {
  /** By session. */
  readonly sessions: IpfixMessage[][] = [];
  away = false;
  failNext = 0;
  stuck = false;
  ended = false;
  /** Each session, as soon as it has the templates and one message. */
  endsAtOnce = false;

  readonly open = (): Promise<IpfixTransport> => {
    if (this.away) return Promise.reject(new Error("connection refused"));
    const decoder = new IpfixDecoder();
    const session: IpfixMessage[] = [];
    this.sessions.push(session);
    this.ended = false;
    let disposed = () => {};
    const gone = new Promise<void>((resolve) => disposed = resolve);
    const isEnded = () => this.ended;
    return Promise.resolve({
      get ended() {
        return isEnded();
      },
      send: async (message: Uint8Array<ArrayBuffer>) => {
        if (this.stuck) {
          await gone;
          throw new Error("closed");
        }
        if (this.failNext > 0) {
          this.failNext--;
          throw new Error("broken pipe");
        }
        session.push(decoder.decode(message.slice()));
        if (this.endsAtOnce && session.length === 3) this.ended = true;
      },
      [Symbol.dispose]: disposed,
    });
  };

  get flows(): number {
    return this.sessions.flat().flatMap(({ data }) => data).filter(({ templateId }) => templateId === 256).length;
  }
}

function exporterOf(collector: FakeCollector, target = UDP, more: Partial<IpfixExporterOptions> = {}) {
  const notices: string[] = [];
  const exporter = new IpfixExporter(target, {
    notice: (text) => notices.push(text),
    open: collector.open,
    ...more,
  });
  return { exporter, notices };
}

const NONE = { packets: 0n, octets: 0n };

/** The statistics records of a session: ignored packets and octets, flows, packets and octets not sent. */
function statistics(session: IpfixMessage[]): bigint[][] {
  return session.flatMap(({ data }) => data).filter(({ templateId }) => templateId === 258).map(({ record }) =>
    [164, 165, 166, 167, 168].map((id) => record.get(id)!)
  );
}

Deno.test("IpfixExporter sends templates, then data whose sequence numbers count data records", async () => {
  const collector = new FakeCollector();
  const { exporter, notices } = exporterOf(collector);
  exporter.add(flowMessages(23, 5));
  exporter.endWindow({ packets: 7n, octets: 700n });
  exporter.add(flowMessages(3));
  exporter.endWindow({ packets: 8n, octets: 800n });
  await exporter.close();
  const [session] = collector.sessions;
  assertEquals(session.map(({ defines }) => defines), [[256, 257], [258], [], [], [], [], []]);
  assertEquals(session.map(({ sequence }) => sequence), [0, 0, 0, 23, 28, 29, 32]);
  assertEquals(session.map(({ data }) => data.length), [0, 0, 23, 5, 1, 3, 1]);
  assertEquals(statistics(session).at(-1), [8n, 800n, 0n, 0n, 0n]);
  const now = Date.now() / 1000;
  assert(session.every(({ exportSeconds, domain }) => Math.abs(exportSeconds - now) < 60 && domain === 1));
  assertEquals(notices, []);
  const { flowsSent, messagesSent, flowsDropped, queuedBytes, failures } = exporter.counts;
  assertEquals([flowsSent, messagesSent, flowsDropped, queuedBytes, failures], [31, 7, 0, 0, 0]);
});

Deno.test("IpfixExporter counts what finds no room and tells it to the collector, once that is there", async () => {
  const collector = new FakeCollector();
  collector.away = true;
  const bytesMax = flowMessages(10, 10).byteLength;
  const { exporter, notices } = exporterOf(collector, TCP, { queueBytesMax: bytesMax });
  for (let window = 0; window < 3; window++) {
    exporter.add(flowMessages(10));
    exporter.endWindow(NONE);
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(exporter.counts.connected, false);
  assertEquals(exporter.counts.flowsDropped, 10);
  collector.away = false;
  await exporter.close();
  assertEquals(collector.flows, 20);
  assertEquals(statistics(collector.sessions[0]).at(-1), [0n, 0n, 10n, 10n, 1000n]);
  assertEquals(notices, [
    "IPFIX collector tcp://192.0.2.1:4739 is away: connection refused; trying again",
    "IPFIX collector tcp://192.0.2.1:4739 is back",
  ]);
  assertEquals(exporter.counts.flowsSent, 20);
});

Deno.test("IpfixExporter begins a new session over TCP: templates again, sequence from zero, the lost message counted", async () => {
  const collector = new FakeCollector();
  const { exporter } = exporterOf(collector, TCP);
  exporter.add(flowMessages(4));
  await new Promise((resolve) => setTimeout(resolve, 10));
  collector.failNext = 1;
  exporter.add(flowMessages(5));
  exporter.add(flowMessages(6));
  exporter.endWindow(NONE);
  await until(() => collector.sessions[1]?.length === 4, "the second session", 5_000);
  collector.ended = true;
  exporter.add(flowMessages(7));
  await exporter.close();
  assertEquals(collector.sessions.map((session) => session.map(({ sequence }) => sequence)), [
    [0, 0, 0],
    [0, 0, 0, 6],
    [0, 0, 0],
  ]);
  assertEquals(collector.sessions.map((session) => session[0].defines), [[256, 257], [256, 257], [256, 257]]);
  assertEquals(statistics(collector.sessions[1]), [[0n, 0n, 5n, 5n, 500n]]);
  const { flowsSent, flowsDropped, packetsDropped, octetsDropped, failures } = exporter.counts;
  assertEquals([flowsSent, flowsDropped, packetsDropped, octetsDropped, failures], [17, 5, 5n, 500n, 2]);
});

Deno.test("IpfixExporter goes on over UDP after a send that failed, in the same session", async () => {
  const collector = new FakeCollector();
  const { exporter } = exporterOf(collector);
  exporter.add(flowMessages(4));
  await new Promise((resolve) => setTimeout(resolve, 10));
  collector.failNext = 1;
  exporter.add(flowMessages(5, 6));
  await exporter.close();
  assertEquals(collector.sessions.flat().map(({ sequence }) => sequence), [0, 0, 0, 4, 4, 4]);
  assertEquals(exporter.counts.flowsDropped, 5);
});

Deno.test("IpfixExporter does not hurry to a collector that accepts and then closes", async () => {
  using time = new FakeTime();
  const collector = new FakeCollector();
  collector.endsAtOnce = true;
  const { exporter, notices } = exporterOf(collector, TCP);
  exporter.add(flowMessages(...new Array(1_000).fill(1)));
  await time.pass(500);
  assert(collector.sessions.length < 30, `${collector.sessions.length} connections`);
  assert(notices.length < 60, `${notices.length} notices`);
  const { flowsSent, flowsDropped } = exporter.counts;
  assert(flowsSent + flowsDropped < 100, `${flowsSent} flows sent, ${flowsDropped} dropped`);
  await time.during(exporter[Symbol.asyncDispose]());
  assertEquals(exporter.counts.flowsSent + exporter.counts.flowsDropped, 1_000);
});

Deno.test("IpfixExporter ends while a name server does not answer, and closes what comes of it later", async () => {
  const opening = Promise.withResolvers<IpfixTransport>();
  const { exporter } = exporterOf(new FakeCollector(), UDP, { open: () => opening.promise });
  exporter.add(flowMessages(3));
  await new Promise((resolve) => setTimeout(resolve, 5));
  await exporter[Symbol.asyncDispose]();
  assertEquals(exporter.counts.flowsDropped, 3);
  const closed = Promise.withResolvers<void>();
  opening.resolve({ ended: false, send: () => Promise.resolve(), [Symbol.dispose]: closed.resolve });
  await closed.promise;
});

Deno.test("IpfixExporter ends though the collector takes nothing, and counts what it did not send", async () => {
  using time = new FakeTime();
  const collector = new FakeCollector();
  collector.stuck = true;
  const { exporter } = exporterOf(collector, TCP);
  exporter.add(flowMessages(9, 1));
  const before = performance.now();
  await time.during(exporter[Symbol.asyncDispose]());
  assert(performance.now() - before < 1_000);
  assertEquals([exporter.counts.flowsSent, exporter.counts.flowsDropped], [0, 10]);
});
