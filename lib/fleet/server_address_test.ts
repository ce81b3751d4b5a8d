import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { formatServerAddress, isIpAddress, isLoopback, parseServerAddress } from "./server_address.ts";

Deno.test("parseServerAddress() reads names and addresses, and formatServerAddress() writes them", () => {
  for (const text of ["fleet.example:7443", "192.0.2.1:1", "[2001:db8::1]:65535", "localhost:80"]) {
    assertEquals(formatServerAddress(parseServerAddress(text)), text);
  }
  assertEquals(parseServerAddress("[::1]:7443"), { host: "::1", port: 7443 });
  for (const text of ["", "host", "host:", "host:0", "host:65536", "2001:db8::1:1", ":1", "a b:1", "http://a:1"]) {
    assertThrows(() => parseServerAddress(text), TypeError, "not HOST:PORT");
  }
});

Deno.test("isLoopback() is true for this host only", () => {
  const answers = ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "192.0.2.1:1", "127.evil.example:1"]
    .map((text) => isLoopback(parseServerAddress(text)));
  assertEquals(answers, [true, true, true, true, false, false]);
  assertEquals(["[::1]:1", "192.0.2.1:1", "a.1:1"].map((text) => isIpAddress(parseServerAddress(text))), [
    true,
    true,
    false,
  ]);
});
