/**
 * Floods an engine and checks its bounds all the while. A program of its own, so that its memory can be limited: it dies
 * where the engine holds more than it should. Says on stdout how many groups there were.
 */
import { BUILTIN_CORRELATION_RULES } from "../lib/fleet/correlation/builtin_rules.ts";
import { CorrelationEngine } from "../lib/fleet/correlation/engine.ts";
import type { CorrelationOptions, FleetRecord } from "../lib/fleet/correlation/correlated_group.ts";
import { assert, assertEquals, assertGreater, assertLess } from "./assert.ts";
import { FakeHost } from "./correlation_records.ts";
import { Random } from "./support/random.ts";

const EVENTS = 1_000_000;
const EVENTS_PER_SECOND = 20_000;
const HOSTS = 100;
const BOUNDS: CorrelationOptions = {
  latenessMs: 1_000,
  idleMs: 10_000,
  aheadMaxMs: 60_000,
  spanWindows: 10,
  waitingMax: 20_000,
  processesMax: 5_000,
  openMax: 1_000,
  groupMembersMax: 50,
  membersMax: 10_000,
  agentsMax: 80,
  sequenceBlocksMax: 500,
};

/** Everything at once: few processes exit, most pids are new, each connection is another, everybody is refused. */
function anyRecord(host: FakeHost, seconds: number, random: Random): FleetRecord {
  const pid = 2 + random.below(4_000_000);
  const uid = random.below(1_000);
  switch (random.below(6)) {
    case 0:
      return host.event("process_exec", seconds, { pid, ppid: 2 + random.below(4_000_000) });
    case 1:
      return host.event("file_open", seconds, { pid, path: "/etc/shadow" });
    case 2:
      return host.event("security_violation", seconds, { pid, uid, enrichment: { containerId: `c${uid % 10}` } });
    case 3:
      return host.event("tcp_state", seconds, {
        pid,
        sport: 1 + random.below(65_535),
        dst: `10.1.2.${random.below(250)}`,
      });
    case 4:
      return host.event("resource_limit", seconds, { pid });
    default:
      return host.event("process_exit", seconds, { pid, signal: 9 });
  }
}

function flood(): number {
  const random = new Random(Random.freshSeed());
  const hosts = Array.from({ length: HOSTS }, (_, i) => new FakeHost(`host-${i}`));
  let groups = 0;
  const engine = new CorrelationEngine(BUILTIN_CORRELATION_RULES, ({ members, confidence }) => {
    groups++;
    assertLess(members.length, BOUNDS.groupMembersMax + 1);
    assert(confidence > 0 && confidence <= 1);
  }, BOUNDS);
  for (let i = 0; i < EVENTS; i++) {
    // The last few hosts join when there is room for no more.
    const known = i < EVENTS / 2 ? BOUNDS.agentsMax : HOSTS;
    const host = i % 100 === 0 ? hosts[random.below(known)] : hosts[random.below(BOUNDS.agentsMax)];
    engine.add(anyRecord(host, i / EVENTS_PER_SECOND, random));
    if (i % 10_000 === 0) checkBounds(engine);
  }
  const { processesEvicted, openEvicted, membersLeftOut, agentsEvicted, forced } = engine.stats();
  for (const count of [processesEvicted, openEvicted, membersLeftOut, agentsEvicted, forced]) assertGreater(count, 0);
  engine.flush();
  const { taken, processed, late, open, members, waiting } = engine.stats();
  assertEquals([taken, processed + late, open, members, waiting], [EVENTS, EVENTS, 0, 0, 0]);
  assertGreater(groups, 0);
  return groups;
}

function checkBounds(engine: CorrelationEngine): void {
  const stats = engine.stats();
  assertLess(stats.waiting, BOUNDS.waitingMax + 1);
  assertLess(stats.processes, BOUNDS.processesMax + 1);
  assertLess(stats.open, 4 * BOUNDS.openMax + 1);
  assertLess(stats.members, BOUNDS.membersMax + 1);
  assertLess(stats.agents, BOUNDS.agentsMax + 1);
  assertEquals(stats.taken, stats.duplicates + stats.late + stats.future + stats.processed + stats.waiting);
}

if (import.meta.main) console.log(flood());
