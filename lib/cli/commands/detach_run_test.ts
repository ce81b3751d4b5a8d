import { assertEquals } from "../../../tests/assert.ts";
import type { OwnFilter } from "../../ffi/clsact.ts";
import { renderSweep } from "./detach_run.ts";

const FILTER: OwnFilter = {
  ifindex: 2,
  iface: "eth0",
  direction: "egress",
  priority: 1,
  handle: 0x1abc,
  ownerLives: false,
};

Deno.test("renderSweep() says what was removed and what was kept", () => {
  assertEquals(renderSweep({ removed: [], kept: [] }), "Nothing to remove.\n");
  const running = { ...FILTER, direction: "ingress", ownerLives: true } as const;
  assertEquals(renderSweep({ removed: [FILTER, running], kept: [running] }).trimEnd().split("\n"), [
    "removed  eth0 egress (priority 1, handle 0x1abc), of an instance that has ended",
    "removed  eth0 ingress (priority 1, handle 0x1abc), of an instance that is running",
    "kept     eth0 ingress (priority 1, handle 0x1abc), of an instance that is running; --force removes it",
  ]);
});
