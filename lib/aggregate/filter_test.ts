import { assert, assertEquals, assertThrows } from "../../tests/assert.ts";
import { parseAddress } from "./address.ts";
import { compileFilter, type FilterableFlow, parseFilter } from "./filter.ts";

const BASE: FilterableFlow = {
  family: 4,
  src: parseAddress("10.1.2.3")!,
  dst: parseAddress("192.0.2.80")!,
  sport: 40000,
  dport: 443,
  proto: 6,
  iface: "eth0",
  direction: "ingress",
};
const UDP6: FilterableFlow = {
  ...BASE,
  family: 6,
  src: parseAddress("2001:db8::1")!,
  dst: parseAddress("ff02::fb")!,
  sport: 5353,
  dport: 5353,
  proto: 17,
  direction: "egress",
};
// Echo reply: type 0, code 0; time exceeded: type 11, code 0, which is 2816.
const ICMP: FilterableFlow = { ...BASE, proto: 1, sport: 0, dport: 11 << 8 };

function accepts(filter: string, flow: FilterableFlow): boolean {
  return compileFilter(parseFilter(filter))(flow);
}

Deno.test("compileFilter() tells each primitive's flows from others", () => {
  const cases: [filter: string, tcp4: boolean, udp6: boolean, icmp: boolean][] = [
    ["tcp", true, false, false],
    ["udp", false, true, false],
    ["icmp", false, false, true],
    ["icmp6", false, false, false],
    ["sctp", false, false, false],
    ["ip", true, false, true],
    ["ip6", false, true, false],
    ["proto udp", false, true, false],
    ["proto 1", false, false, true],
    ["ingress", true, false, true],
    ["egress", false, true, false],
    ["iface eth0", true, true, true],
    ["iface eth", false, false, false],
    ["host 10.1.2.3", true, false, true],
    ["src host 10.1.2.3", true, false, true],
    ["dst host 10.1.2.3", false, false, false],
    ["dst host ff02::fb", false, true, false],
    ["host 10.1.2.4", false, false, false],
    ["net 10.0.0.0/8", true, false, true],
    ["dst net 192.0.2.64/26", true, false, true],
    ["dst net 192.0.2.64/28", false, false, false],
    ["src net 2001:db8::/33", false, true, false],
    ["src net 2001:db8:8000::/33", false, false, false],
    ["net 0.0.0.0/0", true, false, true],
    ["net ::/0", false, true, false],
    ["port 443", true, false, false],
    ["src port 443", false, false, false],
    ["dst port https", true, false, false],
    ["port 5000-6000", false, true, false],
    ["port 40000-40000", true, false, false],
    ["port 444-39999", false, true, false],
  ];
  for (const [filter, ...expected] of cases) {
    assertEquals([BASE, UDP6, ICMP].map((flow) => accepts(filter, flow)), expected, filter);
  }
});

Deno.test("compileFilter() never takes an ICMP type for a port", () => {
  assert(!accepts("port 2816", ICMP));
  assert(!accepts("port 0", ICMP));
  assert(accepts("port 2816", { ...ICMP, proto: 132 }));
});

Deno.test("compileFilter() does not confuse an IPv4 address with the start of an IPv6 one", () => {
  const flow = { ...UDP6, src: parseAddress("a01:203::")! };
  assert(!accepts("host 10.1.2.3", flow));
  assert(accepts("src host a01:203::", flow));
});

Deno.test("parseFilter() binds not before and before or", () => {
  const shape = (text: string): string => {
    const print = (node: ReturnType<typeof parseFilter>): string => {
      if (node.kind === "not") return `!${print(node.term)}`;
      if (node.kind === "and" || node.kind === "or") return `(${node.terms.map(print).join(` ${node.kind} `)})`;
      return node.kind === "proto" ? String(node.proto) : node.kind;
    };
    return print(parseFilter(text));
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

Deno.test("compileFilter() evaluates and, or and not over all four inputs", () => {
  const tcp = BASE, tcpOut = { ...BASE, direction: "egress" as const }, udp = { ...BASE, proto: 17 }, udpOut = UDP6;
  const flows = [tcp, tcpOut, udp, udpOut];
  assertEquals(flows.map((flow) => accepts("tcp and ingress", flow)), [true, false, false, false]);
  assertEquals(flows.map((flow) => accepts("tcp or ingress", flow)), [true, true, true, false]);
  assertEquals(flows.map((flow) => accepts("not (tcp or ingress)", flow)), [false, false, false, true]);
});

Deno.test("parseFilter() takes an interface name literally, even one that is a keyword", () => {
  assertEquals(parseFilter("iface eth0.100"), { kind: "iface", iface: "eth0.100" });
  assertEquals(parseFilter("iface tcp"), { kind: "iface", iface: "tcp" });
  assertEquals(parseFilter("iface a|b"), { kind: "iface", iface: "a|b" });
});

Deno.test("parseFilter() gives plain data that survives structuredClone()", () => {
  const filter = parseFilter("not src net 10.1.2.3/8 or port 1-2");
  assertEquals(structuredClone(filter), filter);
});

Deno.test("parseFilter() says what it expected, and where", () => {
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
    assertEquals(assertThrows(() => parseFilter(text), SyntaxError).message, message, text);
  }
});

Deno.test("parseFilter() refuses nesting that would overflow the stack, and takes long flat chains", () => {
  assertThrows(() => parseFilter("(".repeat(100_000)), SyntaxError, "more than 100 levels");
  assertThrows(() => parseFilter("!".repeat(100_000) + "tcp"), SyntaxError, "more than 100 levels");
  assert(accepts("(".repeat(99) + "tcp" + ")".repeat(99), BASE));
  assert(accepts(Array(20_000).fill("udp").join(" or ") + " or tcp", BASE));
});
