/** A file was opened, or could not be. */
import { EVENT, EVENT_TYPE, OPEN_PAYLOAD, SYSCALL_RULE } from "../../wire/layouts.gen.ts";
import { syscallName } from "../../wire/syscalls.ts";
import { describeEvent } from "./event_description.ts";
import { word } from "./event_text.ts";
import { SYSTEM_CALLS } from "./system_calls.ts";

const { fields: AT, size: STRUCT_BYTES } = OPEN_PAYLOAD;

interface FileOpen {
  event: "file_open";
  path: string;
  pathTruncated: boolean;
  flags: number;
  syscall: string;
}

export const fileOpen = describeEvent({
  name: "file_open",
  type: EVENT_TYPE.EVENT_FILE_OPEN,
  category: "filesystem",
  structBytes: STRUCT_BYTES,
  hasText: true,
  sources: [SYSTEM_CALLS],
  syscalls: {
    openat: SYSCALL_RULE.SYSCALL_OPENAT,
    openat2: SYSCALL_RULE.SYSCALL_OPENAT2,
    open: SYSCALL_RULE.SYSCALL_OPEN,
    creat: SYSCALL_RULE.SYSCALL_CREAT,
  },
  path: { start: EVENT.size + STRUCT_BYTES, isForRules: true },

  decode(event: FileOpen, record) {
    const { data, payload, end } = record;
    event.path = record.text(payload + STRUCT_BYTES, end);
    event.pathTruncated = record.truncated;
    event.flags = record.unsigned64(payload + AT.open_flags.offset);
    event.syscall = syscallName(record.machine, data.getUint32(payload + AT.syscall.offset, true));
  },
  fields: ({ path, pathTruncated, flags, syscall }) => ({ path, path_truncated: pathTruncated, flags, syscall }),
  line: ({ path, pathTruncated, flags, syscall }) =>
    `${syscall} ${word(path)}${pathTruncated ? "…" : ""} flags 0${flags.toString(8)}`,
  about: ({ path }) => path,
  span: { attributes: ({ path }) => ({ "file.path": path }) },
  toMessage: ({ path, pathTruncated, flags, syscall }) => ({ path, pathTruncated, flags: BigInt(flags), syscall }),
  fromMessage: ({ path, pathTruncated, flags, syscall }) => ({ path, pathTruncated, flags: Number(flags), syscall }),
});
