import { assertEquals } from "../../tests/assert.ts";
import { encodeAttribute, joinBytes } from "./netlink.ts";
import { decodeFilter, earliestPriority, PROTOCOL_ALL, type TcFilter } from "./tc_filters.ts";

// deno-fmt-ignore
const MESSAGE = Uint8Array.of(
  0, 0, 0, 0, // family, padding
  5, 0, 0, 0, // ifindex
  1, 0, 0, 0, // handle
  0xf3, 0xff, 0xff, 0xff, // parent: egress of clsact
  0x00, 0x03, 0x02, 0x00, // info: protocol in network byte order, priority 2
);

function filter(priority: number, changes: Partial<TcFilter> = {}): TcFilter {
  const plain = { ifindex: 5, direction: "egress", handle: 1, kind: "bpf", chain: 0, name: "", programId: 9 } as const;
  return { ...plain, priority, protocol: PROTOCOL_ALL, ...changes };
}

Deno.test("decodeFilter() reads place, kind, name and program", () => {
  const options = joinBytes([encodeAttribute(7, "a.o:[tc]"), encodeAttribute(11, 77)]);
  const body = joinBytes([MESSAGE, encodeAttribute(1, "bpf"), encodeAttribute(11, 3), encodeAttribute(2, options)]);
  assertEquals(decodeFilter(body, "egress"), filter(2, { name: "a.o:[tc]", programId: 77, chain: 3 }));
});

Deno.test("decodeFilter() leaves out what heads a priority, and reads no names where the kind is another", () => {
  const head = MESSAGE.slice();
  head[8] = 0;
  assertEquals(decodeFilter(joinBytes([head, encodeAttribute(1, "bpf")]), "egress"), null);
  const flower = joinBytes([MESSAGE, encodeAttribute(1, "flower"), encodeAttribute(2, encodeAttribute(7, "mac"))]);
  assertEquals(decodeFilter(flower, "egress"), filter(2, { kind: "flower", programId: 0 }));
});

Deno.test("earliestPriority() is shared with BPF filters for all protocols, and with no others", () => {
  assertEquals(earliestPriority([]), 1);
  assertEquals(earliestPriority([filter(1), filter(2, { kind: "flower" })]), 1);
  assertEquals(earliestPriority([filter(1, { kind: "flower" }), filter(2, { protocol: 8 }), filter(4)]), 3);
  // Filters of another chain are in nobody's way.
  assertEquals(earliestPriority([filter(1, { kind: "flower", chain: 1 })]), 1);
});
