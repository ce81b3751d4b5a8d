/** What security violations and resource limits have in common: they share their payload. */
import { EVENT, VIOLATION_KIND, VIOLATION_PAYLOAD } from "../../wire/layouts.gen.ts";
import { syscallName } from "../../wire/syscalls.ts";
import type { EventDescription, EventPayload, PathPlace } from "./event_description.ts";
import { word } from "./event_text.ts";
import type { RecordView } from "./record_view.ts";

const { fields: AT, size: STRUCT_BYTES } = VIOLATION_PAYLOAD;

/** In the order of `enum violation_kind`. */
const KINDS = [
  "denied",
  "ptrace",
  "setuid_root",
  "module_load",
  "bpf",
  "mount",
  "emfile",
  "enfile",
  "enomem",
  "eagain",
  "oom_victim",
];

/** What both types say; `Name` tells them apart. */
export interface Violation<Name extends string> extends EventPayload {
  event: Name;
  kind: string;
  /** Empty for a process that was killed for want of memory. */
  syscall: string;
  /** The path or name that the system call was given, or what else it was asked for; empty for neither. */
  detail: string;
}

interface ViolationMessage {
  kind: string;
  syscall: string;
  detail: string;
}

type OfEither = Violation<string>;

/** The members of the description of either type. */
export const VIOLATION = {
  category: "syscall",
  structBytes: STRUCT_BYTES,
  hasText: true,
  path: { start: EVENT.size + STRUCT_BYTES, isForRules: false } as PathPlace,

  isSound(data: DataView<ArrayBuffer>, start: number): boolean {
    return data.getUint16(start + AT.kind.offset, true) < KINDS.length;
  },
  decode(event: OfEither, record: RecordView): void {
    const { data, payload, end } = record;
    const kind = data.getUint16(payload + AT.kind.offset, true);
    const isOom = kind === VIOLATION_KIND.LIMIT_OOM_VICTIM;
    event.kind = KINDS[kind];
    event.syscall = isOom ? "" : syscallName(record.machine, data.getUint32(payload + AT.syscall.offset, true));
    event.detail = record.text(payload + STRUCT_BYTES, end) || askedFor(kind, record);
  },
  fields: ({ kind, syscall, detail }: OfEither) => ({ kind, syscall, detail }),
  line: ({ kind, syscall, detail }: OfEither) =>
    [kind, syscall, detail].filter((text) => text !== "").map(word).join(" "),
  about: ({ kind, detail }: OfEither) => detail === "" ? kind : `${kind}: ${detail}`,
  span: {
    name: ({ event, kind }: OfEither) => `${event} ${kind}`,
    attributes: ({ kind, syscall, detail }: OfEither) => ({
      "ebpfmon.kind": kind,
      "ebpfmon.syscall": syscall,
      "ebpfmon.detail": detail,
    }),
  },
  toMessage: ({ kind, syscall, detail }: OfEither) => ({ kind, syscall, detail }),
  fromMessage: ({ kind, syscall, detail }: ViolationMessage) => ({ kind, syscall, detail }),
} satisfies Partial<EventDescription<OfEither, ViolationMessage>>;

/** What a system call without a path was asked for. */
function askedFor(kind: number, record: RecordView): string {
  const argument = (index: number) => record.signed64(record.payload + AT.args.offset + 8 * index);
  switch (kind) {
    case VIOLATION_KIND.VIOLATION_PTRACE:
      return `request ${argument(0)} on pid ${argument(1)}`;
    case VIOLATION_KIND.VIOLATION_BPF:
      return `command ${argument(0)}`;
    default:
      return "";
  }
}
