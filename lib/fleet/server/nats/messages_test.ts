import { assertEquals, assertMatch, assertNotEquals } from "../../../../tests/assert.ts";
import { routerEvent } from "../../../../tests/support/events.ts";
import { Batch } from "../../proto/ebpfmon.gen.ts";
import { encodeEvent } from "../../event_codec.ts";
import type { ReceivedBatch } from "../../received_batch.ts";
import { messagesOf } from "./messages.ts";
import { HEADERS } from "./streams.ts";

const PARTITIONS = 8;

function batch(overrides: Partial<ReceivedBatch> = {}): ReceivedBatch {
  const connection = (port: number) =>
    routerEvent("tcp_state", { family: "ipv4", src: "192.0.2.1", dst: "192.0.2.2", sport: port, dport: 443 });
  const events = [
    routerEvent("process_exec"),
    ...Array.from({ length: 20 }, (_, i) => connection(20_000 + i)),
    routerEvent("file_open"),
  ];
  const content: Batch = {
    ...{ sequence: 7n, lane: 4, bootUnixNs: 1n, createdUnixNs: 2n, windows: [], health: [], alerts: [] },
    ...{ raw: new Uint8Array(0), rawEvents: 0, events: events.map((event) => encodeEvent({ event })) },
  };
  return {
    ...{ agent: "näme.*", spool: "ab", host: "h", version: "1", bootId: "b", severity: "info" as const, sequence: 7 },
    ...{ events: events.length, content, receivedUnixMs: 5 },
    ...overrides,
  };
}

Deno.test("messagesOf() sends a batch whole to its host's partition, and each connection to its own", () => {
  const [whole, ...parts] = messagesOf(batch(), PARTITIONS);
  assertMatch(whole.subject, /^ebpfmon\.v1\.batch\.[0-7]\.host\.n%C3%A4me%2E%2A$/);
  assertEquals(whole.payload, Batch.encode(batch().content).finish());
  const { events: all } = Batch.decode(whole.payload);
  assertEquals(whole.headers.get(HEADERS.places), "");
  const places: number[] = [];
  for (const part of parts) {
    assertMatch(part.subject, /^ebpfmon\.v1\.batch\.[0-7]\.connection\./);
    const own = part.headers.get(HEADERS.places).split(",").map(Number);
    const { events } = Batch.decode(part.payload);
    assertEquals(events, own.map((place) => all[place]));
    places.push(...own);
  }
  assertEquals(places.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1));
  assertEquals(new Set([whole, ...parts].map(({ id }) => id)).size, parts.length + 1);
});

Deno.test("messagesOf() gives a batch the same ids each time, by whatever server, and both ends of a connection one partition", () => {
  const ids = (batch: ReceivedBatch) => messagesOf(batch, PARTITIONS).map(({ id }) => id);
  assertEquals(ids(batch({ receivedUnixMs: 99 })), ids(batch()));
  for (const other of [{ sequence: 8 }, { spool: "cd" }, { severity: "debug" as const }, { agent: "b" }]) {
    assertNotEquals(ids(batch(other))[0], ids(batch())[0]);
  }
  const partitionsOf = (src: string, dst: string, [sport, dport]: number[]) => {
    const event = routerEvent("tcp_state", { family: "ipv4", src, dst, sport, dport });
    const content = { ...batch().content, events: [encodeEvent({ event })] };
    return messagesOf(batch({ content }), PARTITIONS).slice(1).map(({ subject }) => subject.split(".")[3]);
  };
  for (let port = 30_000; port < 30_020; port++) {
    assertEquals(
      partitionsOf("192.0.2.1", "192.0.2.2", [port, 443]),
      partitionsOf("192.0.2.2", "192.0.2.1", [443, port]),
    );
  }
});
