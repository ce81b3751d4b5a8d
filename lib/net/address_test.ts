import { assertEquals } from "../../tests/assert.ts";
import { formatAddress, formatIpv4, formatIpv6, parseAddress, parseCidr } from "./address.ts";

/** parse, then format. */
function canonical(text: string): string | null {
  const bytes = parseAddress(text);
  return bytes && formatAddress(bytes);
}

Deno.test("formatIpv6() agrees with the examples of RFC 5952", () => {
  const cases: Record<string, string> = {
    // Section 1 and 2: many spellings of one address.
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "2001:0db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "2001:db8::1:0:0:1": "2001:db8::1:0:0:1",
    "2001:db8::0:1:0:0:1": "2001:db8::1:0:0:1",
    "2001:0db8::1:0:0:1": "2001:db8::1:0:0:1",
    "2001:db8:0:0:1::1": "2001:db8::1:0:0:1",
    "2001:DB8:0:0:1::1": "2001:db8::1:0:0:1",
    // 4.1: leading zeros.
    "2001:0db8::0001": "2001:db8::1",
    // 4.2.1: as short as possible.
    "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
    // 4.2.2: one group of zeros is not shortened.
    "2001:db8::1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    // 4.2.3: the longest run, and the first of equal ones.
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    // 4.3: lower case.
    "2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:AAAA": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa",
    // 5: embedded IPv4.
    "0:0:0:0:0:ffff:192.0.2.1": "::ffff:192.0.2.1",
    "::ffff:c000:201": "::ffff:192.0.2.1",
  };
  for (const [given, expected] of Object.entries(cases)) assertEquals(canonical(given), expected, given);
});

Deno.test("formatIpv6() shortens at either end and writes the two extremes", () => {
  assertEquals(canonical("0:0:0:0:0:0:0:0"), "::");
  assertEquals(canonical("0:0:0:0:0:0:0:1"), "::1");
  assertEquals(canonical("1:0:0:0:0:0:0:0"), "1::");
  assertEquals(canonical("1:2:3:4:5:6:0:0"), "1:2:3:4:5:6::");
  assertEquals(canonical("0:0:3:4:5:6:7:8"), "::3:4:5:6:7:8");
  assertEquals(canonical("0:2:3:4:5:6:7:0"), "0:2:3:4:5:6:7:0");
  assertEquals(canonical("::fffe:1.2.3.4"), "::fffe:102:304");
  assertEquals(canonical("1::ffff:1.2.3.4"), "1::ffff:102:304");
});

Deno.test("formatIpv4() and formatIpv6() read at an offset", () => {
  assertEquals(formatIpv4(Uint8Array.of(9, 255, 0, 10, 1, 9), 1), "255.0.10.1");
  const bytes = new Uint8Array(20).fill(0xff);
  bytes.set(parseAddress("fe80::1")!, 3);
  assertEquals(formatIpv6(bytes, 3), "fe80::1");
});

Deno.test("parseAddress() gives network order and 4 or 16 bytes", () => {
  assertEquals(parseAddress("10.0.0.1"), Uint8Array.of(10, 0, 0, 1));
  assertEquals(parseAddress("102:304::"), Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  assertEquals(parseAddress("::")?.length, 16);
});

Deno.test("parseAddress() refuses what is not an address", () => {
  const wrong = [
    ..."|1|1.2.3|1.2.3.4.5|1.2.3.256|01.2.3.4|1.2.3.04|1.2.3.-4|1.2.3.+4|1.2.3. 4|0x1.2.3.4|1..2.3|1.2.3.4/8".split(
      "|",
    ),
    ...":|:::|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1:2:3:4:5:6:7::8|1::2::3|12345::|g::|::1%eth0|:1:2:3:4:5:6:7".split("|"),
    ...[":1::", "1:2:3:4:5:6:7:", "1.2.3.4::", "::1.2.3.4:5", "::1.2.3", "[::1]", "1:2:3:4:5:6:7:1.2.3.4"],
  ];
  for (const text of wrong) assertEquals(parseAddress(text), null, text);
});

Deno.test("parseCidr() clears the host bits", () => {
  assertEquals(parseCidr("10.1.2.3/8"), { address: Uint8Array.of(10, 0, 0, 0), prefix: 8 });
  assertEquals(parseCidr("192.168.255.255/20"), { address: Uint8Array.of(192, 168, 240, 0), prefix: 20 });
  assertEquals(parseCidr("1.2.3.4/32"), { address: Uint8Array.of(1, 2, 3, 4), prefix: 32 });
  assertEquals(parseCidr("1.2.3.4/0"), { address: Uint8Array.of(0, 0, 0, 0), prefix: 0 });
  const six = parseCidr("2001:db8:ffff::1/33");
  assertEquals(six && formatAddress(six.address), "2001:db8:8000::");
});

Deno.test("parseCidr() refuses a missing, negative or too long prefix", () => {
  for (
    const text of [
      "10.0.0.0",
      "10.0.0.0/",
      "10.0.0.0/33",
      "::/129",
      "10.0.0.0/-1",
      "10.0.0.0/08",
      "/8",
      "1/8",
      "::/1/2",
    ]
  ) {
    assertEquals(parseCidr(text), null, text);
  }
});
