import { assertEquals } from "../../tests/assert.ts";
import { hasPorts, protocolName, protocolNumber, serviceOf, servicePort, tcpFlagLetters } from "./iana.ts";

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

Deno.test("serviceOf() names a port by its protocol, the first name of several, and nothing else", () => {
  const cases: [number, number, string | undefined][] = [
    [443, 6, "https"],
    [443, 17, "https"],
    [53, 17, "domain"],
    [22, 6, "ssh"],
    [22, 17, undefined],
    [514, 17, "syslog"],
    [514, 6, undefined],
    [4789, 17, "vxlan"],
    [40_000, 6, undefined],
    [443, 132, undefined],
    [443, 1, undefined],
  ];
  for (const [port, proto, name] of cases) assertEquals(serviceOf(port, proto), name, `${port}/${proto}`);
});
