/** A program was started. */
import { EVENT, EVENT_TYPE, EXEC_PAYLOAD } from "../../wire/layouts.gen.ts";
import { describeEvent } from "./event_description.ts";
import { word } from "./event_text.ts";

const { fields: AT, size: STRUCT_BYTES } = EXEC_PAYLOAD;

interface ProcessExec {
  event: "process_exec";
  filename: string;
  argv: string[];
  argvTruncated: boolean;
  /** Left out where the event is incomplete. */
  ppid?: number;
  incomplete?: true;
}

export const processExec = describeEvent({
  name: "process_exec",
  type: EVENT_TYPE.EVENT_PROCESS_EXEC,
  category: "process",
  structBytes: STRUCT_BYTES,
  hasText: true,
  sources: [{
    name: "exec",
    unseen: "programs that start",
    btf: [{ programs: ["process_exec"], way: "BTF tracepoint sched_process_exec" }],
    raw: [{
      programs: ["syscall_exit"],
      way: "raw tracepoint sys_exit",
      without: "process_exec without its parent's pid",
    }],
  }],
  path: { start: EVENT.size + STRUCT_BYTES, lengthAt: EVENT.size + AT.filename_len.offset, isForRules: true },

  isSound(data, start, lengthBytes) {
    const filenameBytes = data.getUint16(start + AT.filename_len.offset, true);
    return STRUCT_BYTES + filenameBytes + data.getUint16(start + AT.args_len.offset, true) === lengthBytes;
  },
  decode(event: ProcessExec, record) {
    const { data, bytes, payload, end } = record;
    const filenameAt = payload + STRUCT_BYTES;
    const argsAt = filenameAt + data.getUint16(payload + AT.filename_len.offset, true);
    const argv: string[] = [];
    // Each argument ends in a NUL, so an empty last one shows; one that was cut off does not.
    for (let start = argsAt; start < end;) {
      const nul = bytes.indexOf(0, start);
      const argEnd = nul < 0 || nul > end ? end : nul;
      argv.push(record.text(start, argEnd));
      start = argEnd + 1;
    }
    event.filename = record.text(filenameAt, argsAt);
    event.argv = argv;
    event.argvTruncated = record.truncated || argv.length < data.getUint32(payload + AT.argc.offset, true);
    if (!event.incomplete) event.ppid = data.getUint32(payload + AT.ppid.offset, true);
  },
  fields: ({ filename, argv, argvTruncated, ppid }) => ({
    filename,
    argv,
    argv_truncated: argvTruncated,
    ...ppid !== undefined && { ppid },
  }),
  line({ filename, argv, argvTruncated, ppid }) {
    const words = argv.map(word).join(" ") + (argvTruncated ? "…" : "");
    return `${word(filename)} [${words}]${ppid === undefined ? "" : ` ppid ${ppid}`}`;
  },
  about: ({ filename }) => filename,
  span: {
    name: ({ filename }) => `process ${baseName(filename)}`,
    // Not the arguments: they may hold secrets, and traces travel far.
    attributes: ({ filename, ppid }) => ({
      "process.executable.name": baseName(filename),
      "process.executable.path": filename,
      ...ppid !== undefined && { "process.parent_pid": ppid },
    }),
  },
  toMessage: ({ filename, argv, argvTruncated, ppid = 0 }) => ({ filename, argv, argvTruncated, ppid }),
  fromMessage: ({ filename, argv, argvTruncated, ppid }, isIncomplete) => ({
    filename,
    argv,
    argvTruncated,
    ...!isIncomplete && { ppid },
  }),
});

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
