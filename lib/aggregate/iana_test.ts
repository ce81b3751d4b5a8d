import { assertEquals } from "../../tests/assert.ts";
import { hasPorts, protocolName, protocolNumber, servicePort, tcpFlagLetters } from "./iana.ts";

Deno.test("protocolName() gives the name, or the number where there is none", () => {
  assertEquals([6, 17, 1, 58, 132, 253].map(protocolName), ["tcp", "udp", "icmp", "icmp6", "sctp", "253"]);
});

Deno.test("protocolNumber() and servicePort() know no inherited properties", () => {
  assertEquals(protocolNumber("tcp"), 6);
  assertEquals(servicePort("https"), 443);
  for (const name of ["constructor", "__proto__", "toString", "nosuch"]) {
    assertEquals(protocolNumber(name), undefined);
    assertEquals(servicePort(name), undefined);
  }
});

Deno.test("hasPorts() holds for TCP, UDP and SCTP only", () => {
  assertEquals([6, 17, 132, 1, 58, 47, 0].map(hasPorts), [true, true, true, false, false, false, false]);
});

Deno.test("tcpFlagLetters() has a letter a flag, FIN first", () => {
  assertEquals(tcpFlagLetters(0), "");
  assertEquals(tcpFlagLetters(0x12), "SA");
  assertEquals(tcpFlagLetters(0x80), "C");
  assertEquals(tcpFlagLetters(0xff), "FSRPAUEC");
});
