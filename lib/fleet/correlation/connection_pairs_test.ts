import { assertEquals } from "../../../tests/assert.ts";
import { FakeHost } from "../../../tests/correlation_records.ts";
import { correlate } from "../../../tests/correlation_run.ts";
import { connectionViewOf } from "./connection.ts";

const RULES = `rules:
  - name: pair
    kind: connection_pair
    window_ms: 10000
    severity: debug
    sentence: "{comm}@{host} {protocol} {src} > {server_comm}@{server_host} {dst} {port} {bytes}"
`;

const MIRRORED = { src: "10.0.0.2", dst: "10.0.0.1", sport: 443, dport: 40_000 };
const hosts = () => [new FakeHost("a"), new FakeHost("b"), new FakeHost("c")];

Deno.test("connectionViewOf() names a connection alike from both ends, in sockets and in flows", () => {
  const [a, b] = hosts();
  const names = [
    a.event("tcp_state", 1),
    b.event("tcp_state", 1, MIRRORED),
    b.event("tcp_state", 1, { ...MIRRORED, src: "::ffff:10.0.0.2", dst: "::ffff:10.0.0.1", family: "ipv6" }),
    a.flow(1, { direction: "egress" }),
    b.flow(1, { direction: "ingress" }),
    a.flow(1, { ...MIRRORED, direction: "ingress" }),
  ].map((record) => connectionViewOf(record)?.connection);
  assertEquals(new Set(names), new Set(["6/10.0.0.1:40000/10.0.0.2:443"]));
  const ends = connectionViewOf(a.flow(1, { src: "2001:db8::1", dst: "2001:db8::2", proto: 17 }))!;
  assertEquals([ends.local, ends.remote], ["[2001:db8::1]:40000", "[2001:db8::2]:443"]);
});

Deno.test("connectionViewOf() says nothing where a host cannot be told from another, or there is no five-tuple", () => {
  const [a] = hosts();
  const none = [
    a.event("tcp_state", 1, { src: "127.0.0.1", dst: "127.0.0.2" }),
    a.event("tcp_state", 1, { src: "::1", dst: "::1" }),
    a.event("tcp_state", 1, { src: "0.0.0.0" }),
    a.event("tcp_state", 1, { sport: 0 }),
    a.flow(1, { proto: 1, sport: 0, dport: 2048 }),
    a.event("network_connect", 1),
    a.event("process_exec", 1),
  ];
  assertEquals(none.map(connectionViewOf), none.map(() => null));
});

Deno.test("two hosts that see one connection from its two ends are a pair; the sockets say who began it", () => {
  const [a, b] = hosts();
  // The server has the larger port, so the ports alone would mislead.
  const ports = { sport: 1_000, dport: 50_000 };
  const { groups } = correlate(RULES, [
    b.event("tcp_state", 1.1, {
      ...MIRRORED,
      sport: 50_000,
      dport: 1_000,
      oldState: "SYN_RECV",
      pid: 9,
      comm: "nginx",
    }),
    a.event("tcp_state", 1, { ...ports, pid: 5, comm: "curl" }),
    a.flow(2, { ...ports, bytes: 500 }),
    b.flow(2.1, { ...ports, direction: "ingress", bytes: 480 }),
  ]);
  const [{ sentence, confidence, agents, members, key }] = groups;
  assertEquals(groups.length, 1);
  assertEquals(sentence, "curl@a tcp 10.0.0.1:1000 > nginx@b 10.0.0.2:50000 50000 500");
  assertEquals([key, confidence, agents], ["6/10.0.0.1:1000/10.0.0.2:50000", 1, ["a", "b"]]);
  assertEquals(members.map(({ role, parent, links }) => [role, parent, links]), [
    ["outbound", null, [1]],
    ["inbound", null, [0]],
    ["outbound", 0, []],
    ["inbound", 1, []],
  ]);
});

Deno.test("flows alone make a pair, whose client is guessed by its port", () => {
  const [a, b] = hosts();
  const { groups } = correlate(RULES, [a.flow(1), b.flow(1.1, { direction: "ingress" })]);
  const [{ sentence, doubts, confidence }] = groups;
  assertEquals(sentence, "a process@a tcp 10.0.0.1:40000 > a process@b 10.0.0.2:443 443 1000");
  assertEquals([doubts, confidence], [["roles_guessed"], 0.9]);
});

Deno.test("one end alone, both ends of one host, and ends too far apart are no pair", () => {
  const [a, b] = hosts();
  const count = (...records: Parameters<typeof correlate>[1]) => correlate(RULES, records).groups.length;
  assertEquals(count(a.flow(1), a.flow(2)), 0);
  assertEquals(count(a.flow(1), a.flow(1.1, { direction: "ingress" })), 0);
  assertEquals(count(a.flow(1), b.flow(12, { direction: "ingress" })), 0);
  // Both sent the same packets out: neither is the other end.
  assertEquals(count(a.flow(1), b.flow(1)), 0);
});

Deno.test("a host that forwards is no end", () => {
  const [a, b, router] = hosts();
  const { groups } = correlate(RULES, [
    router.flow(1, { direction: "ingress" }),
    router.flow(1, { direction: "egress" }),
    a.flow(1.001),
    b.flow(1.002, { direction: "ingress" }),
  ]);
  assertEquals(groups.map(({ agents, doubts }) => [agents, doubts]), [[["a", "b"], ["roles_guessed"]]]);
});

Deno.test("a third host at one end, and clocks that are apart, lower the confidence", () => {
  const [a, b, c] = hosts();
  const { groups } = correlate(RULES, [
    a.event("tcp_state", 1),
    b.event("tcp_state", 3, { ...MIRRORED, oldState: "SYN_RECV" }),
    c.event("tcp_state", 3.5, { ...MIRRORED, oldState: "SYN_RECV" }),
  ]);
  assertEquals(groups.length, 1);
  assertEquals([groups[0].agents, groups[0].doubts], [["a", "b"], ["clocks_disagree", "more_than_two_hosts"]]);
});

Deno.test("a connection that lasts is given out in parts, and a rule may ask for a port", () => {
  const [a, b] = hosts();
  const records = Array.from({ length: 250 }, (_, i) => [a.flow(1 + i), b.flow(1.1 + i, { direction: "ingress" })])
    .flat();
  const { groups } = correlate(RULES, records);
  assertEquals(groups.map(({ closed }) => closed), ["span", "span", "window"]);
  assertEquals(new Set(groups.map(({ id }) => id)).size, 3);
  const some = correlate(RULES.replace("severity", "port: 443\n    severity"), records).groups.length;
  const none = correlate(RULES.replace("severity", "port: 80\n    severity"), records).groups.length;
  assertEquals([some, none], [3, 0]);
});
