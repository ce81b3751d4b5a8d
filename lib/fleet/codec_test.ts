import { assert, assertEquals } from "../../tests/assert.ts";
import { RETRANSMITS } from "../../tests/support/windows.ts";
import { fleetEvent } from "../../tests/support/fleet_events.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import * as proto from "./proto/ebpfmon.gen.ts";
import type { HealthReport } from "../router/router_messages.ts";
import * as codec from "./codec.ts";
import { decodeEvent, encodeEvent } from "./event_codec.ts";
import { decodeFlow, encodeWindow } from "./window_codec.ts";
import { firstSequence, recordNumber } from "./sequences.ts";
import { SEVERITIES } from "../events/event.ts";

/** A number that no version has given out. */
const FUTURE: number = 99;
const NONE = { packets: 0, bytes: 0 };

function sampleWindow(rows: number): FlowWindow {
  return {
    sequence: 7,
    startNs: 2n ** 63n,
    endNs: 2n ** 64n - 1n,
    endUnixNs: 1_800_000_000_123_456_789n,
    flows: rows,
    capacity: 262_144,
    interfaces: [{
      iface: "eth0",
      direction: "egress",
      seen: { packets: 10, bytes: 2 ** 52 },
      flows: { packets: 6, bytes: 900 },
      overflow: { packets: 3, bytes: 90 },
      other: { non_ip: { packets: 1, bytes: 60 }, truncated: NONE, malformed: NONE, fragment: NONE },
    }],
    matched: { packets: 6, bytes: 900, flows: rows },
    top: Array.from({ length: rows }, (_, i) => ({
      iface: "eth0",
      direction: i % 2 === 0 ? "ingress" : "egress",
      src: "2001:db8::1",
      dst: `192.0.2.${i % 256}`,
      sport: i % 65_536,
      dport: 443,
      proto: 6,
      packets: i,
      bytes: i * 100,
      tcpFlags: 0xff,
      firstSeenNs: BigInt(i),
      lastSeenNs: 2n ** 60n + BigInt(i),
      ...(i % 2 === 0 ? { retransmits: i } : {}),
      ...(i % 3 === 0 ? { pid: 0, comm: "", container: "", exe: "/x", podUid: "" } : {}),
    })),
    attribution: { attributed: NONE, unattributed: { packets: 6, bytes: 900 }, unasked: NONE },
    retransmits: RETRANSMITS,
    swapSeconds: 0.000_123,
    drainSeconds: 0.25,
    programs: [{ program: "xdp_flow", runs: 2n ** 60n, runNs: 2n ** 63n + 5n }],
  };
}

/** A copy in which integers are bigints, without absent members and what the generated code keeps of newer peers. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) =>
      member === undefined || key === "_unknownFields" ? [] : [[key, comparable(member)]]
    ),
  );
}

Deno.test("Events of every type cross the wire as they were", () => {
  for (let n = 0; n < 200; n++) {
    const bytes = proto.Event.encode(encodeEvent(fleetEvent(n))).finish();
    assertEquals(decodeEvent(proto.Event.decode(bytes)), fleetEvent(n));
  }
});

Deno.test("What the kernel did not tell is left out at the other end too", () => {
  const [exec, exit] = [fleetEvent(0).event, fleetEvent(1).event];
  assert(exec.event === "process_exec" && exit.event === "process_exit");
  exec.incomplete = exit.incomplete = true;
  delete exec.ppid;
  delete exit.exitCode;
  delete exit.signal;
  for (const event of [exec, exit]) {
    const bytes = proto.Event.encode(encodeEvent({ event })).finish();
    assertEquals(decodeEvent(proto.Event.decode(bytes)), { event });
  }
});

Deno.test("Extreme numbers cross the wire as they were", () => {
  const { event } = fleetEvent(6);
  Object.assign(event, {
    tsNs: 2n ** 64n - 1n,
    firstNs: 2n ** 53n + 1n,
    cgroupId: 2n ** 63n,
    result: -(2 ** 53),
    flags: 2 ** 53,
    pid: 2 ** 32 - 1,
    weight: 2 ** 32 - 1,
  });
  const bytes = proto.Event.encode(encodeEvent({ event })).finish();
  assertEquals(decodeEvent(proto.Event.decode(bytes)), { event });
});

Deno.test("An event of a type, severity or family from the future is null, and its bytes survive", () => {
  const message = encodeEvent(fleetEvent(2));
  assertEquals(decodeEvent({ ...message, type: FUTURE }), null);
  assertEquals(decodeEvent({ ...message, severity: FUTURE }), null);
  assertEquals(decodeEvent({ ...message, networkConnect: undefined }), null);
  assertEquals(decodeEvent({ ...message, networkConnect: { ...message.networkConnect!, family: FUTURE } }), null);
  // Field 1000, which this version does not know, length-delimited.
  const bytes = Uint8Array.of(...proto.Event.encode({ ...message, type: FUTURE }).finish(), 0xc2, 0x3e, 2, 104, 105);
  assertEquals(proto.Event.encode(proto.Event.decode(bytes)).finish(), bytes);
});

Deno.test("A window crosses the wire in parts that add up to it", () => {
  const window = sampleWindow(25);
  const parts = encodeWindow(window, 10).map((part) => proto.Window.decode(proto.Window.encode(part).finish()));
  assertEquals(parts.map(({ part, parts }) => [part, parts]), [[0, 3], [1, 3], [2, 3]]);
  assertEquals(parts.flatMap(({ top }) => top.map(decodeFlow)), window.top);
  const { matched, interfaces: [traffic], ...totals } = window;
  const { flows: matchedFlows, ...matchedTraffic } = matched;
  assertEquals(
    comparable({ ...parts[0], top: [] }),
    comparable({
      ...totals,
      ...{ top: [], part: 0, parts: 3, matched: matchedTraffic, matchedFlows },
      interfaces: [{ ...traffic, direction: proto.Direction.DIRECTION_EGRESS }],
    }),
  );
  for (const { sequence, flows, matched, interfaces, programs } of parts.slice(1)) {
    assertEquals([sequence, flows, matched, interfaces, programs], [7n, 0n, undefined, [], []]);
  }
  assertEquals(encodeWindow(sampleWindow(0), 10).length, 1);
});

Deno.test("Health, alerts and filters cross the wire as they were", () => {
  const health: HealthReport = {
    unixNs: 1_800_000_000_000_000_001n,
    rings: [{
      ring: "isolated",
      submitted: 2n ** 62n,
      dropped: 1n,
      failures: 2n,
      spilled: 3n,
      consumed: 4n,
      fill: 0.5,
      capacityBytes: 131_072,
    }],
    droppedByType: [{ event: "tcp_state", count: 5n }],
    rateLimited: 6n,
    rateLimitedByPid: [{ pid: 7, count: 8n }],
    sampledOut: 9n,
    repeatsSuppressed: 10n,
    filtered: 11n,
    notices: ["a notice"],
  };
  const healthBytes = proto.Health.encode(codec.encodeHealth(health)).finish();
  const decoded = proto.Health.decode(healthBytes);
  const droppedByType = [{ type: proto.EventType.EVENT_TYPE_TCP_STATE, count: 5n }];
  assertEquals(comparable(decoded), comparable({ ...health, droppedByType }));

  const alert = {
    alert: "x",
    level: "error",
    message: "m",
    fields: { dropped: 3, ring: "debug" },
    unixNs: 1n,
  } as const;
  const alertBytes = proto.Alert.encode(codec.encodeAlert(alert)).finish();
  assertEquals(codec.decodeAlert(proto.Alert.decode(alertBytes)), alert);
  const large = codec.encodeAlert({ ...alert, fields: { exact: 5n, large: 2n ** 60n } });
  assertEquals(codec.decodeAlert(large).fields, { exact: 5, large: String(2n ** 60n) });
  assertEquals(codec.decodeAlert({ ...large, fieldsJson: "[1" }).fields, {});

  for (const severity of ["warning", null] as const) {
    const filter = {
      generation: 3,
      events: ["file_open" as const],
      severity,
      nets: ["192.0.2.0/24"],
      debugSampling: 8,
    };
    const filterBytes = proto.FilterUpdate.encode(codec.encodeFilter(filter)).finish();
    assertEquals(codec.decodeFilter(proto.FilterUpdate.decode(filterBytes)), filter);
  }
});

Deno.test("recordNumber() gives no two records of an agent one number, and stays exact for decades", () => {
  const numbers = new Set<number>();
  for (const severity of SEVERITIES) {
    for (const sequence of [1, 2, firstSequence(Date.UTC(2060, 0, 1))]) {
      for (const index of [0, 1, 1023]) numbers.add(recordNumber(severity, sequence, index));
    }
  }
  assertEquals(numbers.size, 45);
  for (const number of numbers) assertEquals(Number.isSafeInteger(number), true);
});
