import { assertEquals, assertMatch } from "../../tests/assert.ts";
import { monotonicNs } from "./libc.ts";
import { describeFilter, FilterOwner, filtersInFront, ownerLives } from "./clsact.ts";
import { PROTOCOL_ALL, type TcFilter } from "./tc_filters.ts";

// libc stays open: opened within a test it would be taken for a leak.
monotonicNs();

function filter(name: string, changes: Partial<TcFilter> = {}): TcFilter {
  const plain = { ifindex: 5, direction: "egress", priority: 1, handle: 1, kind: "bpf", chain: 0 } as const;
  return { ...plain, protocol: PROTOCOL_ALL, programId: 9, name, ...changes };
}

Deno.test("an owner lives until it is disposed of", () => {
  const owner = new FilterOwner();
  assertMatch(owner.tag, /^ebpfmon:[0-9a-f]{16}$/);
  assertEquals(ownerLives(owner.tag), true);
  owner[Symbol.dispose]();
  assertEquals(ownerLives(owner.tag), false);
});

Deno.test("owners differ", () => {
  using one = new FilterOwner();
  using other = new FilterOwner();
  assertEquals(one.tag === other.tag, false);
});

Deno.test("filtersInFront() is who sees a packet first, other instances and other chains left out", () => {
  const [own, other] = ["ebpfmon:0000000000000001", "ebpfmon:0000000000000002"];
  const filters = [filter("a"), filter(other), filter("b", { chain: 1 }), filter(own), filter("c")];
  assertEquals(filtersInFront(filters, own).map(({ name }) => name), ["a"]);
  assertEquals(filtersInFront([filter("a")], own), []);
});

Deno.test("describeFilter() names what there is", () => {
  assertEquals(describeFilter(filter("cil_to_netdev")), '"cil_to_netdev" (bpf, priority 1, program 9)');
  assertEquals(
    describeFilter(filter("", { kind: "flower", priority: 3, programId: 0 })),
    "one without a name (flower, priority 3)",
  );
});
