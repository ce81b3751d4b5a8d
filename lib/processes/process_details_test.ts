import { assertEquals } from "../../tests/assert.ts";
import type { ProcessFacts } from "./process_source.ts";
import { type DetailSource, ProcessDetails } from "./process_details.ts";
import type { ProcessIdentity } from "./process_identity.ts";

const ID = "0123456789abcdef".repeat(4);
const SLEPT_NS = 5e9;

function identity(overrides: Partial<ProcessIdentity> = {}): ProcessIdentity {
  // 1 s on the monotonic clock, which stood still for 5 s.
  return { pid: 7, startedNs: 6_000_000_000n, comm: "nginx", uid: 33, gid: 33, cgroupId: 9n, ...overrides };
}

/** A host with one process, 7, and one cgroup, 9. */
class Host implements DetailSource {
  reads = 0;
  walks = 0;
  facts: ProcessFacts | null = {
    pid: 7,
    startNs: 0.995e9,
    readNs: 2e9,
    name: "nginx",
    ppid: 1,
    exe: "/usr/sbin/nginx",
    cgroups: "0::/system.slice/nginx.service",
  };
  cgroups = new Map([[9n, `/system.slice/docker-${ID}.scope`]]);
  nowMs = 0;

  read(): ProcessFacts | null {
    this.reads++;
    return this.facts;
  }

  /** What it answers for a cgroup that it does not have. */
  otherwise: null | undefined = null;

  cgroupPath(id: bigint): string | null | undefined {
    this.walks++;
    return this.cgroups.get(id) ?? this.otherwise;
  }

  passwdStamp(): number {
    return 1;
  }

  passwdText(): string {
    return "root:x:0:0\nwww-data:x:33:33\n";
  }

  details(entriesMax?: number): ProcessDetails {
    return new ProcessDetails(this, { sleptNs: () => SLEPT_NS, nowMs: () => this.nowMs, entriesMax });
  }
}

Deno.test("ProcessDetails names executable, container and user, and looks once", () => {
  const host = new Host();
  const details = host.details();
  const expected = { exe: "/usr/sbin/nginx", container: ID, podUid: "", user: "www-data" };
  for (let i = 0; i < 3; i++) assertEquals(details.describe(identity()), expected);
  assertEquals([host.reads, host.walks], [1, 1]);
  // After an exec it is looked at again.
  details.exeOf(identity({ comm: "other" }));
  assertEquals(host.reads, 2);
});

Deno.test("ProcessDetails takes nothing from another process of the same number", () => {
  const host = new Host();
  const details = host.details();
  assertEquals(details.exeOf(identity({ startedNs: 7_000_000_000n })), "");
  assertEquals(details.containerOf(identity({ startedNs: 7_000_000_000n, cgroupId: 1n })).containerId, "");
});

Deno.test("ProcessDetails goes by the number alone where the start is not known, and takes nothing that began later", () => {
  const host = new Host();
  const details = host.details();
  const process = { ...identity({ startedNs: 0n, cgroupId: 1n }), notedNs: 3_000_000_000n };
  assertEquals(details.exeOf(process), "/usr/sbin/nginx");
  // Another one of its number, with the same name: what was found of the first is not remembered for it.
  host.facts = { ...host.facts!, exe: "/usr/local/sbin/nginx", startNs: 4e9, cgroups: `0::/docker/${ID}` };
  assertEquals(details.describe(process), { exe: "", container: "", podUid: "", user: "www-data" });
  assertEquals(details.exeOf({ ...process, notedNs: 5_000_000_000n }), "/usr/local/sbin/nginx");
});

Deno.test("ProcessDetails finds the container of a process that has ended by its cgroup", () => {
  const host = new Host();
  host.facts = null;
  const details = host.details();
  assertEquals(details.describe(identity({ uid: 4 })), { exe: "", container: ID, podUid: "", user: "" });
});

Deno.test("ProcessDetails asks the process where containers are in another hierarchy", () => {
  const host = new Host();
  host.cgroups.set(1n, "/");
  host.facts!.cgroups = `3:memory:/docker/${ID}\n0::/`;
  assertEquals(host.details().containerOf(identity({ cgroupId: 1n })).containerId, ID);
});

Deno.test("ProcessDetails looks for a cgroup again that was too new to be found, but not at each call", () => {
  const host = new Host();
  const details = host.details();
  host.facts = null;
  const process = identity({ cgroupId: 10n });
  assertEquals(details.containerOf(process).containerId, "");
  host.cgroups.set(10n, `/docker/${ID}`);
  assertEquals(details.containerOf(process).containerId, "");
  assertEquals(host.walks, 1);
  host.nowMs = 2_000;
  assertEquals(details.containerOf(process).containerId, ID);
});

Deno.test("ProcessDetails asks at each call for a cgroup that is still looked for", () => {
  const host = new Host();
  host.otherwise = undefined;
  host.facts = null;
  const details = host.details();
  const process = identity({ cgroupId: 10n });
  for (let i = 0; i < 3; i++) assertEquals(details.containerOf(process).containerId, "");
  host.cgroups.set(10n, `/docker/${ID}`);
  assertEquals(details.containerOf(process).containerId, ID);
  assertEquals(host.walks, 4);
});

Deno.test("ProcessDetails remembers so many processes and no more", () => {
  const host = new Host();
  const details = host.details(2);
  for (const comm of ["a", "b", "c", "a"]) details.exeOf(identity({ comm }));
  assertEquals(host.reads, 4);
});
