/** `ebpfmon replay`: its flags, and the options that they become. */
import { command, type OptionsOf, required } from "../command.ts";
import {
  checkFlowFilter,
  FLOW_FILTER_FLAG,
  FLOWS_MAX_FLAGS,
  LIBBPF_FLAG,
  SEEN_ORDER_FLAG,
  TOP_FLAG,
  WINDOW_FLAG,
} from "../flags/flows.ts";
import { valueFlag, type ValueSpec } from "../flags/kinds.ts";
import { CONFIG_FLAG, OUTPUT_FLAGS } from "../flags/output.ts";

const CAPTURE = {
  value: "FILE",
  help: "capture to read; - for standard input",
  takes: "the name of a file, or -",
  completes: "file",
  fallback: "",
  parse: (text: string) => text === "" ? undefined : text,
} satisfies ValueSpec<string>;

/** 1 for real time; 0 for as fast as it goes. */
const SPEED_FLAG = {
  speed: valueFlag<number>({
    name: "speed",
    value: "X",
    help: "1 for the time it took then, 10 for ten times as fast; 0 for as fast as it goes",
    takes: "0, or a number from 0.001 to 1000000",
    fallbackText: "0",
    fallback: 0,
    parse: (text: string) => {
      const speed = /^\d{1,7}(\.\d{1,9})?$/.test(text) ? Number(text) : NaN;
      return speed === 0 || (speed >= 0.001 && speed <= 1_000_000) ? speed : undefined;
    },
  }),
};

export const replay = command({
  summary: "the flows of a capture, counted as live ones are",
  description:
    "Runs each frame of a pcap or pcapng file, compressed by gzip or not, through the program that counts live packets,\n" +
    "attached to nothing. Windows are cut on the capture's time line. A frame that the snap length cut counts with its\n" +
    "length on the wire. Linux cooked and raw IP captures count as if each packet had a 14-byte Ethernet header.",
  positionals: { file: required(CAPTURE) },
  flags: {
    ...OUTPUT_FLAGS,
    ...WINDOW_FLAG,
    ...TOP_FLAG,
    ...SEEN_ORDER_FLAG,
    ...FLOWS_MAX_FLAGS,
    ...FLOW_FILTER_FLAG,
    ...SPEED_FLAG,
    ...LIBBPF_FLAG,
    ...CONFIG_FLAG,
  },
  examples: [
    ["sudo ebpfmon replay some.pcap", "a table for each second of the capture"],
    ["sudo ebpfmon replay some.pcapng.gz --json --window 60000 --top 100", "a minute a JSON line, with 100 flows"],
    ["tcpdump -w - -c 1000 | sudo ebpfmon replay - --filter 'udp'", "from a pipe"],
  ],
  options(options, context) {
    checkFlowFilter(options.filter, context);
    return options;
  },
});

export type ReplayCommandOptions = OptionsOf<typeof replay>;
