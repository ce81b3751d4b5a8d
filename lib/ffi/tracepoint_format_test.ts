import { assertEquals } from "../../tests/assert.ts";
import { missingField, parseFormat } from "./tracepoint_format.ts";

/** Part of events/sock/inet_sock_set_state/format of Linux 6.1. */
const FORMAT = `name: inet_sock_set_state
ID: 1456
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:const void * skaddr;	offset:8;	size:8;	signed:0;
	field:__u16 sport;	offset:24;	size:2;	signed:0;
	field:__u8 saddr[4];	offset:32;	size:4;	signed:0;

print fmt: "family=%s", __print_symbolic(REC->family, { 2, "AF_INET" })
`;

Deno.test("parseFormat() reads names, offsets and sizes of pointers, numbers and arrays", () => {
  assertEquals(parseFormat(FORMAT), [
    { name: "common_type", offset: 0, size: 2 },
    { name: "common_pid", offset: 4, size: 4 },
    { name: "skaddr", offset: 8, size: 8 },
    { name: "sport", offset: 24, size: 2 },
    { name: "saddr", offset: 32, size: 4 },
  ]);
  assertEquals(parseFormat(""), []);
});

Deno.test("missingField() finds a field that lies elsewhere, or has another size", () => {
  const fields = parseFormat(FORMAT);
  const sport = { name: "sport", offset: 24, size: 2 };
  assertEquals(missingField(fields, [sport]), null);
  assertEquals(missingField(fields, [sport, { name: "dport", offset: 26, size: 2 }])?.name, "dport");
  assertEquals(missingField(fields, [{ ...sport, offset: 26 }])?.offset, 26);
  assertEquals(missingField(fields, [{ ...sport, size: 4 }])?.size, 4);
});
