import { assertEquals } from "../../tests/assert.ts";
import { missingCapabilities } from "./capabilities.ts";

/** The lines of /proc/PID/status that matter, among others. */
function status(effective: bigint): string {
  const hex = effective.toString(16).padStart(16, "0");
  return `Name:\tebpfmon\nUid:\t1000\t1000\t1000\t1000\nCapPrm:\tffffffffffffffff\nCapEff:\t${hex}\nCapBnd:\tffffffffffffffff\n`;
}

const NET_ADMIN = 1n << 12n;
const SYS_ADMIN = 1n << 21n;
const PERFMON = 1n << 38n;
const BPF = 1n << 39n;

Deno.test("missingCapabilities() finds nothing missing for root", () => {
  assertEquals(missingCapabilities(status(0x1ff_ffff_ffffn)), []);
});

Deno.test("missingCapabilities() names all three for a user, whatever is permitted but not effective", () => {
  assertEquals(missingCapabilities(status(0n)), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
});

Deno.test("missingCapabilities() is content with exactly the three", () => {
  assertEquals(missingCapabilities(status(BPF | NET_ADMIN | PERFMON)), []);
  assertEquals(missingCapabilities(status(BPF | NET_ADMIN)), ["CAP_PERFMON"]);
  assertEquals(missingCapabilities(status(NET_ADMIN | PERFMON)), ["CAP_BPF"]);
  assertEquals(missingCapabilities(status(BPF | PERFMON)), ["CAP_NET_ADMIN"]);
});

Deno.test("missingCapabilities() takes CAP_SYS_ADMIN for CAP_BPF and CAP_PERFMON, but not for CAP_NET_ADMIN", () => {
  assertEquals(missingCapabilities(status(SYS_ADMIN)), ["CAP_NET_ADMIN"]);
  assertEquals(missingCapabilities(status(SYS_ADMIN | NET_ADMIN)), []);
});

Deno.test("missingCapabilities() looks only for what is needed, and trusts no status without capabilities", () => {
  assertEquals(missingCapabilities(status(NET_ADMIN), ["CAP_NET_ADMIN"]), []);
  assertEquals(missingCapabilities("Name:\tebpfmon\n", ["CAP_BPF"]), ["CAP_BPF"]);
});
