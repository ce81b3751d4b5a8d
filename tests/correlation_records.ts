/** Records of made-up hosts, for tests of the correlation engine: only what matters is named, the rest is ordinary. */
import type { EventBase, EventType, RouterEvent } from "../lib/events/event.ts";
import type { Enrichment, FleetEvent, FleetFlow } from "../lib/fleet/correlation/correlated_group.ts";

/** 2026-01-01T00:00:00Z. */
export const EPOCH_NS = 1_767_225_600_000_000_000n;
const BOOT_NS = EPOCH_NS - 86_400_000_000_000n;
const SECOND_NS = 1e9;

type Details<Type extends EventType> = Omit<Extract<RouterEvent, { event: Type }>, keyof EventBase>;

/** Of types that no rule of correlation looks at there is none. */
const ORDINARY: { [Type in EventType]?: Details<Type> } = {
  process_exec: { filename: "/usr/bin/true", argv: ["true"], argvTruncated: false, ppid: 1 },
  process_exit: { exitCode: 0, signal: 0 },
  file_open: { path: "/etc/hosts", pathTruncated: false, flags: 0, syscall: "openat" },
  network_connect: { family: "ipv4", address: "192.0.2.1", port: 443 },
  tcp_state: {
    family: "ipv4",
    src: "10.0.0.1",
    dst: "10.0.0.2",
    sport: 40_000,
    dport: 443,
    oldState: "SYN_SENT",
    newState: "ESTABLISHED",
  },
  security_violation: { kind: "denied", syscall: "openat", detail: "/etc/shadow" },
  resource_limit: { kind: "enomem", syscall: "mmap", detail: "" },
};

/** One host: numbers its records and tells the time in seconds since `EPOCH_NS`. */
export class FakeHost {
  readonly agent: string;
  #sequence = 0;

  constructor(agent: string) {
    this.agent = agent;
  }

  event<Type extends EventType>(
    type: Type,
    seconds: number,
    details: Partial<Details<Type>> & Partial<Omit<EventBase, "event">> & { enrichment?: Enrichment } = {},
  ): FleetEvent {
    const { enrichment, ...own } = details;
    const unixNs = at(seconds);
    const event = {
      event: type,
      severity: "info",
      tsNs: unixNs - BOOT_NS,
      firstNs: unixNs - BOOT_NS,
      cpu: 0,
      pid: 100,
      tid: 100,
      uid: 1000,
      comm: "true",
      cgroupId: 1n,
      result: 0,
      weight: 1,
      repeats: 1,
      spilled: false,
      rulesGeneration: 1,
      ...ORDINARY[type],
      ...own,
    } as unknown as RouterEvent;
    return {
      agent: this.agent,
      sequence: this.#sequence++,
      unixNs,
      event,
      ...enrichment && { enrichment },
    };
  }

  flow(seconds: number, flow: Partial<FleetFlow["flow"]> = {}): FleetFlow {
    const lastSeenNs = at(seconds) - BOOT_NS;
    return {
      agent: this.agent,
      sequence: this.#sequence++,
      startUnixNs: at(seconds - 0.5),
      endUnixNs: at(seconds + 0.5),
      bootUnixNs: BOOT_NS,
      flow: {
        iface: "eth0",
        direction: "egress",
        src: "10.0.0.1",
        dst: "10.0.0.2",
        sport: 40_000,
        dport: 443,
        proto: 6,
        packets: 10,
        bytes: 1_000,
        tcpFlags: 0x1b,
        firstSeenNs: lastSeenNs,
        lastSeenNs,
        ...flow,
      },
    };
  }
}

/** Seconds since `EPOCH_NS` as nanoseconds since the epoch, exact to a nanosecond within days. */
export function at(seconds: number): bigint {
  return EPOCH_NS + BigInt(Math.round(seconds * SECOND_NS));
}
