import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { UsageError } from "../flags/usage.ts";
import type { ReplayCommandOptions } from "./replay.ts";
import { parseCommandLine } from "./mod.ts";

function parse(...words: string[]) {
  return parseCommandLine(words, () => "");
}

function replay(...words: string[]): ReplayCommandOptions {
  const parsed = parse("replay", ...words);
  assert(parsed.command === "replay");
  return parsed.options;
}

function ipfix(...words: string[]) {
  const parsed = parse("monitor", ...words);
  assert(parsed.command === "monitor");
  return parsed.options.ipfix;
}

Deno.test("replay of a file has the documented defaults", () => {
  assertEquals(replay("some.pcap"), {
    json: false,
    quiet: false,
    debug: false,
    file: "some.pcap",
    windowMs: 1000,
    topMax: 10,
    order: "packets",
    flowsMax: 131_072,
    flowsLimit: 1_048_576,
    filter: "",
    speed: 0,
    libbpfUrl: "",
  });
});

Deno.test("replay takes every flag, and - for standard input", () => {
  const words =
    "--json --quiet --debug --window 60000 --top 100 --sort bytes --max-flows 16 --max-flows-limit 64 --filter udp --speed 0.5 -";
  assertEquals(replay(...words.split(" "), "--libbpf-url", "u"), {
    json: true,
    quiet: true,
    debug: true,
    file: "-",
    windowMs: 60_000,
    topMax: 100,
    order: "bytes",
    flowsMax: 16,
    flowsLimit: 64,
    filter: "udp",
    speed: 0.5,
    libbpfUrl: "u",
  });
});

Deno.test("replay names what is wrong with its arguments", () => {
  for (
    const [words, mistake] of [
      [[], "FILE is missing"],
      [["a", "b"], '"b"'],
      [["a", "--speed", "-1"], "--speed"],
      [["a", "--speed", "0.0001"], "--speed"],
      [["a", "--filter", "port"], "--filter"],
    ] as const
  ) {
    const { message } = assertThrows(() => replay(...words), UsageError);
    assert(message.includes(mistake), message);
  }
});

Deno.test("monitor --ipfix takes a collector with or without scheme and port", () => {
  assertEquals(ipfix(), null);
  const cases = {
    "udp://192.0.2.1:2055": { protocol: "udp", hostname: "192.0.2.1", port: 2055 },
    "tcp://[2001:db8::1]:1": { protocol: "tcp", hostname: "2001:db8::1", port: 1 },
    "tcp://collector": { protocol: "tcp", hostname: "collector", port: 4739 },
    "collector.example:9995": { protocol: "udp", hostname: "collector.example", port: 9995 },
    "[::1]": { protocol: "udp", hostname: "::1", port: 4739 },
  };
  for (const [text, target] of Object.entries(cases)) assertEquals(ipfix("--ipfix", text), target as never);
  for (const text of ["", "sctp://h:1", "h:0", "h:65536", "::1", "udp://", "h:x", "h/p"]) {
    assertThrows(() => ipfix("--ipfix", text), UsageError);
  }
});
