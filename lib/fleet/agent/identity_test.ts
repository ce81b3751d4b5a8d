import { assertEquals, assertMatch, assertNotEquals } from "../../../tests/assert.ts";
import { readKernelFile } from "../../ffi/libc.ts";
import { agentId, bootId } from "./identity.ts";

// Opens libc, which then stays open: a test that did so would seem to leak it.
readKernelFile("/proc/self/stat");

Deno.test("agentId() is the same each time, and does not show the machine's id", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const id = agentId(folder);
    assertMatch(id, /^[0-9a-f]{32}$/);
    assertEquals(agentId(folder), id);
    assertNotEquals(id, machineId());
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("bootId() is the kernel's", () => {
  assertMatch(bootId(), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

function machineId(): string {
  try {
    return Deno.readTextFileSync("/etc/machine-id").trim();
  } catch {
    return "";
  }
}
