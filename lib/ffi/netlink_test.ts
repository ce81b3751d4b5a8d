import { assertEquals } from "../../tests/assert.ts";
import { monotonicNs } from "./libc.ts";
import {
  attributeNumber,
  attributeText,
  decodeAttributes,
  encodeAttribute,
  joinBytes,
  RouteSocket,
} from "./netlink.ts";

// libc stays open: opened within a test it would be taken for a leak.
monotonicNs();

Deno.test("encodeAttribute() writes length, type and value, padded to four bytes", () => {
  // deno-fmt-ignore
  assertEquals([...encodeAttribute(7, "abcd")], [
    9, 0, // length: header, text and its NUL
    7, 0, // type
    97, 98, 99, 100, 0,
    0, 0, 0, // padding, which the length leaves out
  ]);
  assertEquals([...encodeAttribute(6, 0x01020304)], [8, 0, 6, 0, 4, 3, 2, 1]);
});

Deno.test("decodeAttributes() gives back what was encoded, with attributes in attributes", () => {
  const inner = joinBytes([encodeAttribute(6, 0xffff_fff1), encodeAttribute(7, "name")]);
  const outer = decodeAttributes(joinBytes([encodeAttribute(1, "bpf"), encodeAttribute(0x8002, inner)]));
  assertEquals(attributeText(outer.get(1)), "bpf");
  const nested = decodeAttributes(outer.get(2)!);
  assertEquals(attributeNumber(nested.get(6)), 0xffff_fff1);
  assertEquals(attributeText(nested.get(7)), "name");
  assertEquals(attributeNumber(nested.get(8)), 0);
  assertEquals(attributeText(nested.get(8)), "");
});

Deno.test("decodeAttributes() stops at an attribute that says to be longer than what there is", () => {
  const bytes = joinBytes([encodeAttribute(1, 7), Uint8Array.of(200, 0, 2, 0, 1, 1, 1, 1)]);
  assertEquals([...decodeAttributes(bytes).keys()], [1]);
  assertEquals([...decodeAttributes(Uint8Array.of(0, 0, 1, 0)).keys()], []);
});

Deno.test("RouteSocket lists links and gives the errno of what cannot be done", () => {
  using socket = new RouteSocket();
  const RTM_GETLINK = 18, RTM_DELLINK = 17, ENODEV = 19, EPERM = 1;
  const links = socket.dump({ type: RTM_GETLINK, body: new Uint8Array(16) }, "links");
  const IFLA_IFNAME = 3;
  const names = links.map((body) => attributeText(decodeAttributes(body.subarray(16)).get(IFLA_IFNAME)));
  assertEquals(names.includes("lo"), true);
  const nothing = new DataView(new ArrayBuffer(16));
  nothing.setInt32(4, 0x7fff_fffe, true);
  const errno = socket.change({ type: RTM_DELLINK, body: new Uint8Array(nothing.buffer) });
  assertEquals([ENODEV, EPERM].includes(errno), true, `errno ${errno}`);
});
