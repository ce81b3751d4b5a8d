import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { parseEventFilter, parseFlowFilter } from "./language.ts";

Deno.test("parseFlowFilter() binds not before and before or", () => {
  const shape = (text: string): string => {
    const print = (node: ReturnType<typeof parseFlowFilter>): string => {
      if (node.kind === "not") return `!${print(node.term)}`;
      if (node.kind === "and" || node.kind === "or") return `(${node.terms.map(print).join(` ${node.kind} `)})`;
      return node.kind === "proto" ? String(node.proto) : node.kind;
    };
    return print(parseFlowFilter(text));
  };
  assertEquals(shape("tcp or udp and icmp"), "(6 or (17 and 1))");
  assertEquals(shape("tcp and udp or icmp"), "((6 and 17) or 1)");
  assertEquals(shape("not tcp and udp"), "(!6 and 17)");
  assertEquals(shape("not (tcp and udp)"), "!(6 and 17)");
  assertEquals(shape("(tcp or udp) and icmp"), "((6 or 17) and 1)");
  assertEquals(shape("!!tcp||!udp&&icmp"), "(!!6 or (!17 and 1))");
  assertEquals(shape("not not tcp"), "!!6");
  assertEquals(shape("((tcp))"), "6");
  assertEquals(shape("tcp or udp or icmp"), "(6 or 17 or 1)");
});

Deno.test("parseFlowFilter() takes an interface name literally, even one that is a keyword", () => {
  assertEquals(parseFlowFilter("iface eth0.100"), { kind: "iface", iface: "eth0.100" });
  assertEquals(parseFlowFilter("iface tcp"), { kind: "iface", iface: "tcp" });
  assertEquals(parseFlowFilter("iface a|b"), { kind: "iface", iface: "a|b" });
});

Deno.test("parseFlowFilter() gives plain data that survives structuredClone()", () => {
  const filter = parseFlowFilter("not src net 10.1.2.3/8 or port 1-2");
  assertEquals(structuredClone(filter), filter);
});

Deno.test("parseFlowFilter() says what it expected, and where", () => {
  const cases: Record<string, string> = {
    "": "expected a condition at character 1",
    "   ": "expected a condition at character 1",
    "tcp and port": 'expected a port number after "port" at character 9',
    "tcp and port x": 'expected a port number after "port" at character 9, got "x"',
    "port 65536": 'expected a port number after "port" at character 1, got "65536"',
    "port 9-8": 'expected a port number after "port" at character 1, got "9-8"',
    "port 1-2-3": 'expected a port number after "port" at character 1, got "1-2-3"',
    "port -1": 'expected a port number after "port" at character 1, got "-1"',
    "port constructor": 'expected a port number after "port" at character 1, got "constructor"',
    "tcp port 80": 'expected "and", "or" or the end after "tcp" at character 1, got "port"',
    "tcp udp": 'expected "and", "or" or the end after "tcp" at character 1, got "udp"',
    "tcp)": 'expected "and", "or" or the end after "tcp" at character 1, got ")"',
    "(tcp": 'expected "and", "or" or ")" after "tcp" at character 2',
    "()": 'expected a condition after "(" at character 1, got ")"',
    "tcp and": 'expected a condition after "and" at character 5',
    "and tcp": 'expected a condition at character 1, got "and"',
    "not": 'expected a condition after "not" at character 1',
    "src tcp": 'expected "host", "net" or "port" after "src" at character 1, got "tcp"',
    "host 10.0.0": 'expected an IP address after "host" at character 1, got "10.0.0"',
    "host 10.0.0.0/8": 'expected an IP address after "host" at character 1, got "10.0.0.0/8"',
    "net 10.0.0.0": 'expected a network like 10.0.0.0/8 after "net" at character 1, got "10.0.0.0"',
    "proto 256": 'expected a protocol name or number after "proto" at character 1, got "256"',
    "iface": 'expected an interface name after "iface" at character 1',
    "(iface )": 'expected an interface name after "iface" at character 2, got ")"',
    "TCP": 'expected a condition at character 1, got "TCP"',
    "__proto__": 'expected a condition at character 1, got "__proto__"',
  };
  for (const [text, message] of Object.entries(cases)) {
    assertEquals(assertThrows(() => parseFlowFilter(text), SyntaxError).message, message, text);
  }
});

Deno.test("parseFlowFilter() refuses nesting that would overflow the stack, and takes long flat chains", () => {
  assertThrows(() => parseFlowFilter("(".repeat(100_000)), SyntaxError, "more than 100 levels");
  assertThrows(() => parseFlowFilter("!".repeat(100_000) + "tcp"), SyntaxError, "more than 100 levels");
  assertEquals(parseFlowFilter("(".repeat(99) + "tcp" + ")".repeat(99)), { kind: "proto", proto: 6 });
  assertEquals((parseFlowFilter(Array(20_000).fill("udp").join(" or ")) as { terms: unknown[] }).terms.length, 20_000);
});

Deno.test("parseFlowFilter() reads text between quotes as it is, and quoted words as no keywords", () => {
  assertEquals(parseFlowFilter(String.raw`comm "a \"b\" \\(c)"`), { kind: "comm", comm: String.raw`a "b" \(c)` });
  assertEquals(parseFlowFilter('iface ")"'), { kind: "iface", iface: ")" });
  assertEquals(parseFlowFilter('host "10.1.2.3"'), parseFlowFilter("host 10.1.2.3"));
  assertEquals(parseFlowFilter('comm a"b'), { kind: "comm", comm: 'a"b' });
  assertThrows(() => parseFlowFilter('"tcp"'), SyntaxError, "expected a condition at character 1");
  assertThrows(() => parseFlowFilter('tcp "and" udp'), SyntaxError, 'expected "and", "or" or the end after "tcp"');
  for (const text of ['"', '"abc', 'tcp and comm "a b', String.raw`comm "a\"`]) {
    assertThrows(
      () => parseFlowFilter(text),
      SyntaxError,
      `quote without an end at character ${text.lastIndexOf(' "') + 2 || 1}`,
    );
  }
});

Deno.test("parseEventFilter() makes ranges of relations, the more severe being the greater", () => {
  const cases: Record<string, [first: number, last: number]> = {
    "severity critical": [0, 0],
    "severity >= error": [0, 1],
    "severity > error": [0, 0],
    "severity > critical": [0, -1],
    "severity <= info": [3, 4],
    "severity < info": [4, 4],
    "priority 2": [2, 2],
    "priority <= 2": [1, 2],
    "priority > 2": [3, 3],
    "pid 4294967295": [2 ** 32 - 1, 2 ** 32 - 1],
    "uid < 1000": [0, 999],
    "uid >= 1000": [1000, 2 ** 32 - 1],
  };
  for (const [text, [first, last]] of Object.entries(cases)) {
    assertEquals(parseEventFilter(text), { kind: text.split(" ")[0] as "pid", first, last }, text);
  }
});

Deno.test("a word of the other subject is refused with its position", () => {
  const flowWords = ["iface eth0", "ingress", "egress", "container 01"];
  const eventWords = [
    "uid 0",
    "event file_open",
    "severity error",
    "priority 1",
    "category process",
    "path /",
    "cgroup 1",
  ];
  for (const text of flowWords) {
    const message = `"${text.split(" ")[0]}" at character 9 is for filters of flows, not of events`;
    assertEquals(assertThrows(() => parseEventFilter(`tcp and ${text}`), SyntaxError).message, message);
    parseFlowFilter(text);
  }
  for (const text of eventWords) {
    const message = `"${text.split(" ")[0]}" at character 9 is for filters of events, not of flows`;
    assertEquals(assertThrows(() => parseFlowFilter(`tcp and ${text}`), SyntaxError).message, message);
    parseEventFilter(text);
  }
});

Deno.test("parseEventFilter() says what it expected, and where", () => {
  const cases: Record<string, string> = {
    "pid": 'expected a pid after "pid" at character 1',
    "pid < x": 'expected a pid after "<" at character 5, got "x"',
    "pid 4294967296": 'expected a pid after "pid" at character 1, got "4294967296"',
    "uid -1": 'expected a uid after "uid" at character 1, got "-1"',
    "comm 1234567890123456": 'expected a name of 1 to 15 bytes after "comm" at character 1, got "1234567890123456"',
    'comm ""': 'expected a name of 1 to 15 bytes after "comm" at character 1, got "\\"\\""',
    "event exec": 'expected a type of event after "event" at character 1, got "exec"',
    "severity fatal": 'expected a severity after "severity" at character 1, got "fatal"',
    "severity = error": 'expected a severity after "severity" at character 1, got "="',
    "priority 4": 'expected 1, 2 or 3 after "priority" at character 1, got "4"',
    "category x": 'expected a category after "category" at character 1, got "x"',
    "path )": 'expected the start of a path after "path" at character 1, got ")"',
    "cgroup 18446744073709551616":
      `expected a cgroup's number after "cgroup" at character 1, got "18446744073709551616"`,
  };
  for (const [text, message] of Object.entries(cases)) {
    assertEquals(assertThrows(() => parseEventFilter(text), SyntaxError).message, message, text);
  }
});

Deno.test("parseEventFilter() gives plain data that survives structuredClone()", () => {
  const filter = parseEventFilter('not severity >= error or cgroup 18446744073709551615 and path "/a b"');
  assertEquals(structuredClone(filter), filter);
});
