import { assertEquals } from "../../tests/assert.ts";
import { defaultRouteIpv4, defaultRouteIpv6 } from "./netdev.ts";

const ROUTE_HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

function route(iface: string, destination: string, flags: string, metric: number, mask: string): string {
  return `${iface}\t${destination}\t0100000A\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;
}

Deno.test("defaultRouteIpv4() finds the default route among others", () => {
  const text = ROUTE_HEADER + route("docker0", "000011AC", "0001", 0, "0000FFFF") +
    route("eth7", "00000000", "0003", 0, "00000000") + route("eth7", "0000000A", "0001", 0, "00FFFFFF");
  assertEquals(defaultRouteIpv4(text), "eth7");
});

Deno.test("defaultRouteIpv4() prefers the lowest metric, then the first", () => {
  const text = ROUTE_HEADER + route("wlan0", "00000000", "0003", 600, "00000000") +
    route("eth0", "00000000", "0003", 100, "00000000") + route("eth1", "00000000", "0003", 100, "00000000");
  assertEquals(defaultRouteIpv4(text), "eth0");
});

Deno.test("defaultRouteIpv4() passes over routes that are down, and 0.0.0.0 with a mask", () => {
  const text = ROUTE_HEADER + route("eth0", "00000000", "0002", 0, "00000000") +
    route("eth1", "00000000", "0003", 0, "00000080");
  assertEquals(defaultRouteIpv4(text), null);
});

Deno.test("defaultRouteIpv4() finds nothing in an empty table or no table", () => {
  assertEquals(defaultRouteIpv4(ROUTE_HEADER), null);
  assertEquals(defaultRouteIpv4(""), null);
});

const ZERO = "0".repeat(32);

function route6(destination: string, prefix: string, metric: string, iface: string): string {
  return `${destination} ${prefix} ${ZERO} 00 fe800000000000000000000000000001 ${metric} 00000001 00000000 00000003 ${
    iface.padStart(8)
  }\n`;
}

Deno.test("defaultRouteIpv6() prefers the lowest metric, which is hexadecimal", () => {
  const text = route6(`fe80${"0".repeat(28)}`, "40", "00000001", "eth9") + route6(ZERO, "00", "00000400", "eth0") +
    route6(ZERO, "00", "0000003a", "eth1");
  assertEquals(defaultRouteIpv6(text), "eth1");
});

Deno.test("defaultRouteIpv6() passes over the unreachable route on lo and over ::/8", () => {
  const text = route6(ZERO, "00", "ffffffff", "lo") + route6(ZERO, "08", "00000001", "eth0");
  assertEquals(defaultRouteIpv6(text), null);
  assertEquals(defaultRouteIpv6(""), null);
});
