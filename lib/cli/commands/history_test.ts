import { assert, assertEquals, assertObjectMatch, assertThrows } from "../../../tests/assert.ts";
import { UsageError } from "../flags/usage.ts";
import { parseCommandLine } from "./mod.ts";

function parse(...words: string[]) {
  return parseCommandLine(words, (path) => {
    throw new Error(`unexpected read of ${path}`);
  });
}

function mistake(...words: string[]): string {
  const { message } = assertThrows(() => parse("history", ...words), UsageError);
  const [, text] = /^ebpfmon history: (.*); see ebpfmon history --help$/.exec(message) ?? [];
  assert(text !== undefined, message);
  return text;
}

const HOUR_NS = 3_600_000_000_000n;

Deno.test("history has the documented defaults", () => {
  assertEquals(parse("history", "top", "--store", "f.db"), {
    command: "history",
    options: {
      json: false,
      quiet: false,
      debug: false,
      csv: false,
      view: "top",
      path: "f.db",
      from: { beforeNs: HOUR_NS },
      to: { beforeNs: 0n },
      by: null,
      where: "",
      group: null,
      networks: [],
      level: null,
      rank: "packets",
      limit: 10,
    },
  });
});

Deno.test("history takes every flag, and times with a hyphen of their own", () => {
  const words = "series --store f.db --from -2h --to=-1h --by net --where udp --group port=53/udp --level 1h " +
    "--nets 10.0.0.0/8,2001:db8::/32 --sort bytes --limit 3 --csv";
  assertObjectMatch(parse("history", ...words.split(" ")), {
    options: {
      view: "series",
      from: { beforeNs: 2n * HOUR_NS },
      to: { beforeNs: HOUR_NS },
      by: "net",
      where: "udp",
      group: { by: "port", label: "53/udp" },
      networks: [{ prefix: 8 }, { prefix: 32 }],
      level: 2,
      rank: "bytes",
      limit: 3,
      csv: true,
    },
  });
  assertObjectMatch(parse("history", "top", "--store", "f", "--group", "process=a=b (1)"), {
    options: { group: { by: "process", label: "a=b (1)" } },
  });
});

Deno.test("history refuses what makes no sense, naming the flag", () => {
  const store = ["--store", "f.db"];
  assertEquals(mistake(), "top|series|flows is missing");
  assertEquals(mistake("top"), "--store FILE is missing: the database that monitor --store keeps");
  assertEquals(mistake("tops", ...store), 'top|series|flows takes top, series or flows, got "tops"');
  assertEquals(mistake("top", ...store, "--json", "--csv"), "--json and --csv exclude each other");
  assertEquals(mistake("flows", ...store, "--by", "src"), "flows takes no --by: use top");
  assertEquals(
    mistake("top", ...store, "--from", "-1y"),
    '--from takes a time like 2026-01-02T03:04:05Z, 2026-01-02, -1h or now, got "-1y"',
  );
  assert(mistake("top", ...store, "--where", "tcp and").startsWith("--where: expected"));
  assert(mistake("top", ...store, "--by", "user").startsWith("--by takes flow, src,"));
  assert(mistake("top", ...store, "--group", "port").startsWith("--group takes a grouping and one of its groups"));
  assert(mistake("top", ...store, "--group", "user=root").startsWith("--group takes"));
  assert(mistake("top", ...store, "--nets", "10.0.0.0/33").startsWith("--nets takes networks"));
  assert(mistake("top", ...store, "--level", "2h").startsWith("--level takes"));
});

Deno.test("a value that begins with a hyphen is joined only to a flag that takes one", () => {
  assertEquals(mistake("top", "--json", "-1h"), 'unknown flag "-1h"');
  assertEquals(mistake("top", "--store", "--json"), "--store takes the name of a file, got nothing");
  assertEquals(mistake("top", "--", "--from", "-1h"), 'unexpected argument "--from"');
});
