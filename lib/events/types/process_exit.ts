/** A process ended. */
import { EVENT_TYPE, EXIT_PAYLOAD } from "../../wire/layouts.gen.ts";
import { describeEvent } from "./event_description.ts";

/** Where the event is incomplete, how the process ended is left out. */
interface ProcessExit {
  event: "process_exit";
  exitCode?: number;
  signal?: number;
  incomplete?: true;
}

export const processExit = describeEvent({
  name: "process_exit",
  type: EVENT_TYPE.EVENT_PROCESS_EXIT,
  category: "process",
  structBytes: EXIT_PAYLOAD.size,
  hasText: false,
  sources: [{
    name: "exit",
    unseen: "processes that end",
    btf: [{ programs: ["process_exit"], way: "BTF tracepoint sched_process_exit" }],
    raw: [{
      programs: ["process_exit"],
      way: "raw tracepoint sched_process_exit",
      without: "process_exit without its exit code and signal",
    }],
  }],

  decode(event: ProcessExit, { data, payload }) {
    if (event.incomplete) return;
    const status = data.getUint32(payload + EXIT_PAYLOAD.fields.status.offset, true);
    event.exitCode = status >> 8 & 0xff;
    event.signal = status & 0x7f;
  },
  fields: ({ incomplete, exitCode, signal }): Record<string, unknown> =>
    incomplete ? {} : { exit_code: exitCode, signal },
  line({ incomplete, exitCode, signal }) {
    if (incomplete) return "";
    return signal === 0 ? `exit code ${exitCode}` : `killed by signal ${signal}`;
  },
  about({ exitCode, signal }) {
    if (signal === undefined) return "";
    return signal > 0 ? `signal ${signal}` : `exit code ${exitCode}`;
  },
  span: {
    attributes({ exitCode, signal }): Record<string, number> {
      if (exitCode === undefined || signal === undefined) return {};
      return { "process.exit.code": exitCode, ...signal > 0 && { "ebpfmon.signal": signal } };
    },
  },
  toMessage: ({ exitCode = 0, signal = 0 }) => ({ exitCode, signal }),
  fromMessage: ({ exitCode, signal }, isIncomplete) => isIncomplete ? {} : { exitCode, signal },
});
