/** Events that can be made again from their number: what a server holds is compared with what an agent made. */
import type { EnrichedEvent } from "../../lib/fleet/enriched_event.ts";
import type { EventBase, RouterEvent } from "../../lib/events/event.ts";

/** Most are information, few are critical. */
const SEVERITY_CYCLE = [
  "info",
  "info",
  "warning",
  "debug",
  "info",
  "debug",
  "error",
  "info",
  "info",
  "critical",
] as const;

/** Event number `n` of an agent: its time is the number. */
export function fleetEvent(n: number): EnrichedEvent {
  const base: EventBase = {
    event: "file_open",
    severity: SEVERITY_CYCLE[n % SEVERITY_CYCLE.length],
    tsNs: BigInt(n) + 1n,
    cpu: n % 64,
    pid: 1000 + n % 5000,
    tid: 1000 + n % 5000,
    uid: n % 3 === 0 ? 0 : 1000,
    comm: `worker-${n % 17}`,
    cgroupId: BigInt(n % 9) * 0x1_0000_0001n,
    result: n % 4 === 0 ? -(n % 40) : n % 100,
    weight: 1 + n % 8,
    repeats: 1 + n % 3,
    firstNs: BigInt(n) + 1n - BigInt(n % 2),
    spilled: n % 11 === 0,
    rulesGeneration: n % 5,
  };
  const event = withDetail(base, n);
  if (n % 13 === 0) event.unreadable = true;
  if (n % 2 === 0) return { event };
  return {
    event,
    enrichment: {
      exe: `/usr/bin/worker-${n % 17}`,
      ppid: n % 7,
      user: "nobody",
      containerId: "c".repeat(64),
      priority: 2,
    },
  };
}

function withDetail(base: EventBase, n: number): RouterEvent {
  switch (n % 7) {
    case 0:
      return {
        ...base,
        event: "process_exec",
        filename: `/bin/p${n}`,
        argv: ["p", `${n}`, ""],
        argvTruncated: false,
        ppid: 1,
      };
    case 1:
      return { ...base, event: "process_exit", exitCode: n % 256, signal: n % 32 };
    case 2:
      return {
        ...base,
        event: "network_connect",
        family: "ipv6",
        address: `2001:db8::${n % 0xffff}`,
        port: n % 65_536,
      };
    case 3:
      return {
        ...base,
        event: "tcp_state",
        family: "ipv4",
        src: "192.0.2.1",
        dst: `198.51.100.${n % 256}`,
        sport: n % 65_536,
        dport: 443,
        oldState: "SYN_SENT",
        newState: "ESTABLISHED",
      };
    case 4:
      return { ...base, event: "security_violation", kind: "eperm", syscall: "openat", detail: `/etc/shadow.${n}` };
    case 5:
      return { ...base, event: "resource_limit", kind: "emfile", syscall: "socket", detail: "" };
    default:
      return {
        ...base,
        event: "file_open",
        path: `/tmp/größe-${n}`,
        pathTruncated: false,
        flags: 0o102,
        syscall: "openat",
      };
  }
}

/** The number of an event that fleetEvent made. */
export function fleetEventNumber({ event }: EnrichedEvent): number {
  return Number(event.tsNs - 1n);
}
