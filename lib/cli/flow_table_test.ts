import { assertEquals } from "../../tests/assert.ts";
import { flowRow } from "../../tests/support/windows.ts";
import { endpoint, FLAGS_COLUMN, IFACE_COLUMN, RETRANSMITS_COLUMN, shortenEndpoint } from "./flow_table.ts";

Deno.test("endpoint() brackets IPv6 and leaves out ports that do not exist", () => {
  assertEquals(endpoint("192.0.2.1", 443, 6), "192.0.2.1:443");
  assertEquals(endpoint("fe80::1", 53, 17), "[fe80::1]:53");
  assertEquals(endpoint("fe80::1", 0, 58), "fe80::1");
  assertEquals(endpoint("192.0.2.1", 0, 47), "192.0.2.1");
});

Deno.test("FLAGS_COLUMN shows TCP flags, or the type and code of ICMP", () => {
  assertEquals(FLAGS_COLUMN.cell(flowRow({ tcpFlags: 0x12 })), "SA");
  assertEquals(FLAGS_COLUMN.cell(flowRow({ proto: 1, dport: 3 << 8 | 1, tcpFlags: 0 })), "3/1");
  assertEquals(FLAGS_COLUMN.cell(flowRow({ proto: 58, dport: 135 << 8, tcpFlags: 0 })), "135/0");
});

Deno.test("RETRANSMITS_COLUMN shows segments and their share, and nothing where they are not counted", () => {
  const cells = [{ packets: 200, retransmits: 3 }, { packets: 5, retransmits: 0 }, { packets: 5 }];
  assertEquals(cells.map((flow) => RETRANSMITS_COLUMN.cell(flowRow(flow))), ["3 (1.5 %)", "0 (0.0 %)", ""]);
});

Deno.test("IFACE_COLUMN shows a hostile interface name harmlessly", () => {
  assertEquals(IFACE_COLUMN.cell(flowRow({ iface: "e\x1b[2J" })), "e\\x1b[2J");
});

Deno.test("shortenEndpoint() keeps the port, and both ends of an IPv6 address", () => {
  const six = "[2001:db8:1234:5678:9abc:def0:1234:5678]:40000";
  assertEquals(shortenEndpoint(six, 46), six);
  assertEquals(shortenEndpoint(six, 21), "[2001:d…4:5678]:40000");
  assertEquals(shortenEndpoint("192.0.2.1:40000", 14), "192.0.2…:40000");
  assertEquals(shortenEndpoint("2001:db8::1234:5678", 11), "2001:…:5678");
  assertEquals(shortenEndpoint("192.0.2.1", 5), "192.…");
});

Deno.test("shortenEndpoint() never exceeds the width", () => {
  for (const text of ["[2001:db8:1234:5678:9abc:def0:1234:5678]:40000", "192.0.2.100:65535", "2001:db8::1"]) {
    for (let width = 0; width <= text.length + 1; width++) {
      const { length } = shortenEndpoint(text, width);
      assertEquals(length, Math.min(width, text.length), `${text} in ${width}`);
    }
  }
});
