/**
 * The shape of a description of a type of event. Each type has one description, in its own file beside this one, and
 * mod.ts lists them. Code that treats types differently asks their descriptions.
 */
import type { Category } from "./category.ts";
import type { KernelSource } from "./kernel_source.ts";
import type { RecordView } from "./record_view.ts";

/** The part of an event that its type adds. */
export interface EventPayload {
  event: string;
}

/** Where a record holds a path: offsets from the start of the record. */
export interface PathPlace {
  start: number;
  /** Where its length in bytes is, as 16 bits; left out for a path that reaches to the end of the record. */
  lengthAt?: number;
  /** Whether rules may ask for a prefix of it. */
  isForRules: boolean;
}

/** Where a record holds the ends of a connection: offsets from the start of the record. */
export interface EndpointPlaces {
  family: number;
  /** Left out where the record does not say where the connection comes from. */
  source?: { address: number; port: number };
  destination: { address: number; port: number };
  /** The IP protocol of all events of this type; left out where it is not known. */
  protocol?: number;
}

/** Attributes of a span, by their names in OpenTelemetry's semantic conventions. */
export type SpanAttributes = Record<string, string | number>;

/** An event of this type as a span of a trace. */
export interface SpanDescription<P extends EventPayload> {
  /** The type's name where it is left out. */
  name?(event: P): string;
  /** True where this host calls another one: the span is of the kind `client` then. */
  isClient?: true;
  /** These attributes replace those of the same name that describe the event's process. */
  attributes(event: P): SpanAttributes;
}

/**
 * A type of event: how its records are made, checked and read, and how its events are shown.
 *
 * `Message` is the message of this type in lib/fleet/proto/ebpfmon.proto. The member of `Event` that holds it there has
 * the name of the type, and the compiler compares it with `Message` in lib/fleet/event_codec.ts.
 *
 * Functions are called without their object, so they must not use `this`.
 */
export interface EventDescription<P extends EventPayload, Message = unknown> {
  name: P["event"];
  /** Its number in `enum event_type` of bpf/event.h. */
  type: number;
  category: Category;
  /** What in the kernel tells of it. Each source makes events; where one cannot be used, its events are missing. */
  sources: readonly KernelSource[];
  /** The system calls that are looked at for it, with bits of `enum syscall_rule`; none where they are left out. */
  syscalls?: Readonly<Record<string, number>>;
  path?: PathPlace;
  endpoints?: EndpointPlaces;
  /** Size of the struct that a payload of this type starts with. */
  structBytes: number;
  /** Whether text may follow the struct. */
  hasText: boolean;
  /** What must hold besides of a payload of `lengthBytes` at `start`: `decode` reads only those that are sound. */
  isSound?(data: DataView<ArrayBuffer>, start: number, lengthBytes: number): boolean;
  /**
   * Fills in what the payload says. The event comes with its header: a copy of it would cost as much as decoding it.
   */
  decode(event: P, record: RecordView): void;
  /** The name of the service that a connection is to; empty for none. */
  service?(event: P): string;
  /** Members that this type adds to the JSON object of an event. */
  fields(event: P): Record<string, unknown>;
  /** What a line of text says of it; whatever a process chose is escaped. */
  line(event: P): string;
  /** What it is about, in a few words, as they are. */
  about(event: P): string;
  span: SpanDescription<P>;
  toMessage(event: P): Message;
  /** @returns null for a message that is none of this type */
  fromMessage(message: Message, isIncomplete: boolean): Omit<P, "event" | "incomplete"> | null;
}

/** Checks a description against its payload and its message, and keeps the literal type of its name. */
export function describeEvent<P extends EventPayload, Message>(
  description: EventDescription<P, Message>,
): EventDescription<P, Message> {
  return description;
}
