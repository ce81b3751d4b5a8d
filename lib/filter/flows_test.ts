import { assert, assertEquals } from "../../tests/assert.ts";
import { parseAddress } from "../net/address.ts";
import { compileFlowFilter, type FilterableFlow } from "./flows.ts";
import { parseFlowFilter } from "./language.ts";

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
  return compileFlowFilter(parseFlowFilter(filter))(flow);
}

Deno.test("compileFlowFilter() tells each primitive's flows from others", () => {
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

Deno.test("compileFlowFilter() never takes an ICMP type for a port", () => {
  assert(!accepts("port 2816", ICMP));
  assert(!accepts("port 0", ICMP));
  assert(accepts("port 2816", { ...ICMP, proto: 132 }));
});

Deno.test("compileFlowFilter() does not confuse an IPv4 address with the start of an IPv6 one", () => {
  const flow = { ...UDP6, src: parseAddress("a01:203::")! };
  assert(!accepts("host 10.1.2.3", flow));
  assert(accepts("src host a01:203::", flow));
});

Deno.test("compileFlowFilter() evaluates and, or and not over all four inputs", () => {
  const tcp = BASE, tcpOut = { ...BASE, direction: "egress" as const }, udp = { ...BASE, proto: 17 }, udpOut = UDP6;
  const flows = [tcp, tcpOut, udp, udpOut];
  assertEquals(flows.map((flow) => accepts("tcp and ingress", flow)), [true, false, false, false]);
  assertEquals(flows.map((flow) => accepts("tcp or ingress", flow)), [true, true, true, false]);
  assertEquals(flows.map((flow) => accepts("not (tcp or ingress)", flow)), [false, false, false, true]);
});

Deno.test("compileFlowFilter() looks at a flow's owner, and says no where there is none", () => {
  const owned = { ...BASE, pid: 4242, comm: "my server", container: "0123456789abcdef" };
  const cases: [filter: string, owned: boolean][] = [
    ["pid 4242", true],
    ["pid 4243", false],
    ["pid < 4243", true],
    ["pid <= 4241", false],
    ["pid >= 4242", true],
    ["pid > 4242", false],
    ["pid < 0", false],
    ['comm "my server"', true],
    ["comm my", false],
    ["container 0123456789ab", true],
    ["container 123", false],
  ];
  for (const [filter, expected] of cases) {
    assertEquals([owned, BASE].map((flow) => accepts(filter, flow)), [expected, false], filter);
  }
  assert(accepts("container 01", { ...BASE, container: "01" }) && !accepts("container 01", { ...BASE, container: "" }));
});

Deno.test("compileFlowFilter() takes long flat chains without nesting", () => {
  assert(accepts(Array(20_000).fill("udp").join(" or ") + " or tcp", BASE));
});
