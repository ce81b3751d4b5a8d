/** The events of the router: the names of their types, severities and rings, and what each event says. */
import { DESCRIPTIONS_BY_NUMBER, EVENT_DESCRIPTIONS, type PayloadOf } from "./types/mod.ts";

type Descriptions = typeof EVENT_DESCRIPTIONS;
type NamesOf<D extends readonly { name: string }[]> = { readonly [I in keyof D]: D[I]["name"] };

/** The names of the types, in the order of `enum event_type` in bpf/event.h. */
export const EVENT_TYPES = EVENT_DESCRIPTIONS.map(({ name }) => name) as unknown as NamesOf<Descriptions>;

export type EventType = typeof EVENT_TYPES[number];

/** Types that have addresses and ports. */
export const ADDRESSED_TYPES: readonly EventType[] = DESCRIPTIONS_BY_NUMBER
  .filter(({ endpoints }) => endpoints !== undefined).map(({ name }) => name);

/** Types whose path rules may ask for. */
export const PATH_TYPES: readonly EventType[] = DESCRIPTIONS_BY_NUMBER
  .filter(({ path }) => path?.isForRules).map(({ name }) => name);

/** In the order of `enum severity`: 0 is critical. */
export const SEVERITIES = ["critical", "error", "warning", "info", "debug"] as const;

export type Severity = typeof SEVERITIES[number];

/** In the order of `enum ring_id`. Critical and error go to the first, warning and info to the second. */
export const RINGS = ["critical", "normal", "debug", "isolated"] as const;

export type RingName = typeof RINGS[number];

/** Rings that all processes share. `isolated` stands for all rings that belong to one process or cgroup alone. */
export const SHARED_RINGS = ["critical", "normal", "debug"] as const;

export type SharedRing = typeof SHARED_RINGS[number];

/** The number that no user has. */
export const UID_UNKNOWN = 0xffff_ffff;

/** Members that every event has, whatever its type. */
export interface EventBase {
  event: EventType;
  severity: Severity;
  /** CLOCK_MONOTONIC, when the program ran. */
  tsNs: bigint;
  cpu: number;
  pid: number;
  tid: number;
  uid: number;
  comm: string;
  cgroupId: bigint;
  /** 0, a positive value, or -errno of the system call; 0 for events that have none. */
  result: number;
  /**
   * Number of events that this one stands for: more than 1 where debug was sampled. Sums of weights are unbiased
   * counts.
   */
  weight: number;
  /**
   * Number of identical events that this one stands for, itself included; the first was at `firstNs`, the last at
   * `tsNs`.
   */
  repeats: number;
  firstNs: bigint;
  /** True where the ring that the event was meant for was full and another one took it. */
  spilled: boolean;
  /** Generation of the rule set that judged the event; it counts up with each change of rules. */
  rulesGeneration: number;
  /** True where the path, the address or the arguments could not be read from the process's memory. */
  unreadable?: true;
  /**
   * True where the kernel did not tell everything: an exec's parent or an exit's status, which are left out then; or,
   * of a process killed for want of memory, its user (`uid` is UID_UNKNOWN), its name (empty) or its cgroup (0).
   */
  incomplete?: true;
}

/** An event: what every event has, and what its type adds. */
export type RouterEvent = EventBase & PayloadOf<Descriptions[number]>;
