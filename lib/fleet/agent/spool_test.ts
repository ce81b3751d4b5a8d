import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "../../../tests/assert.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";
import { firstSequence } from "../sequences.ts";
import { Spool, type SpoolOptions } from "./spool.ts";

const NOW_MS = 1_800_000_000_000;

function open(options: Partial<SpoolOptions> = {}): { spool: Spool; notices: string[] } {
  const notices: string[] = [];
  const onNotice = (notice: string) => notices.push(notice);
  return { spool: new Spool({ memoryBytesMax: 1_000_000, onNotice, now: () => NOW_MS, ...options }), notices };
}

/** A batch whose bytes tell which one it is. */
function append(spool: Spool, severity: Severity, lengthBytes = 100, events = 1): void {
  spool.append(severity, events, (sequence) => {
    const bytes = new Uint8Array(lengthBytes);
    new DataView(bytes.buffer).setFloat64(0, sequence);
    bytes[8] = SEVERITIES.indexOf(severity);
    return bytes;
  });
}

function sequenceIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
}

function assertBalanced(spool: Spool): void {
  for (const counts of [spool.stats.batches, spool.stats.events]) {
    const dropped = Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);
    assertEquals(counts.appended + counts.recovered, counts.acknowledged + counts.spooled + dropped);
  }
}

function takeAll(spool: Spool): { severity: Severity; sequence: number }[] {
  const taken: { severity: Severity; sequence: number }[] = [];
  for (let batch = spool.take(); batch !== null; batch = spool.take()) {
    assertEquals(sequenceIn(batch.bytes), batch.sequence);
    assertEquals(batch.bytes[8], SEVERITIES.indexOf(batch.severity));
    taken.push({ severity: batch.severity, sequence: batch.sequence });
  }
  return taken;
}

function inFolder(run: (path: string) => void): void {
  const path = Deno.makeTempDirSync();
  try {
    run(`${path}/spool`);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("Spool gives out the most severe first, and each severity in order", () => {
  const { spool } = open();
  using _ = spool;
  for (const severity of ["debug", "info", "critical", "info", "critical"] as const) append(spool, severity);
  assertEquals(takeAll(spool).map(({ severity }) => severity), ["critical", "critical", "info", "info", "debug"]);
  spool.rewind();
  const again = takeAll(spool);
  assertEquals(again[1].sequence, again[0].sequence + 1);
  assertEquals(spool.acknowledge("critical", again[1].sequence), 200);
  assertEquals(spool.acknowledge("critical", again[1].sequence), 0);
  assertEquals(spool.stats.batches.spooled, 3);
  assertBalanced(spool);
});

Deno.test("Spool drops the least severe at its limit, never what is under way while there is something else", () => {
  const { spool } = open({ memoryBytesMax: 1000 });
  using _ = spool;
  for (let i = 0; i < 5; i++) append(spool, "debug");
  for (let i = 0; i < 5; i++) append(spool, "warning");
  for (let i = 0; i < 5; i++) assertEquals(spool.take()?.severity, "warning");
  assertEquals(spool.take()?.severity, "debug");
  for (let i = 0; i < 4; i++) append(spool, "info", 100, 7);
  assertEquals(spool.stats.batches.dropped, { critical: 0, error: 0, warning: 0, info: 0, debug: 4 });
  for (let i = 0; i < 3; i++) append(spool, "critical");
  assertEquals(spool.stats.events.dropped, { critical: 0, error: 0, warning: 0, info: 21, debug: 4 });
  append(spool, "debug");
  assertEquals(spool.stats.batches.dropped.debug, 5, "there is nothing less severe than the new one");
  assertBalanced(spool);
  assertEquals(spool.stats.memoryBytes, 1000);
});

Deno.test("Spool.reject() drops one batch and counts it", () => {
  const { spool } = open();
  using _ = spool;
  for (let i = 0; i < 3; i++) append(spool, "info", 100, 10);
  spool.take();
  const second = spool.take()!;
  spool.reject(second);
  spool.reject(second);
  assertEquals(spool.stats.events.dropped.info, 10);
  assertEquals(spool.take()?.sequence, second.sequence + 1);
  assertBalanced(spool);
});

Deno.test("Spool on disk gives back after a restart what was not acknowledged, and never a sequence twice", () => {
  inFolder((path) => {
    const directory = { path, bytesMax: 10_000_000 };
    const first = open({ directory }).spool;
    for (let i = 0; i < 100; i++) append(first, "info", 1000, 3);
    append(first, "critical");
    const taken = takeAll(first);
    const last = taken.at(-1)!.sequence;
    first.acknowledge("critical", taken[0].sequence);
    first[Symbol.dispose]();

    const { spool, notices } = open({ directory });
    using _ = spool;
    assertEquals(spool.id, first.id);
    assertEquals(notices, []);
    // Only the severity that was acknowledged as a whole is off the disk.
    assertEquals(spool.stats.events, { ...spool.stats.events, recovered: 300, spooled: 300, appended: 0 });
    spool.acknowledge("info", last - 50);
    for (const severity of SEVERITIES) append(spool, severity);
    const after = takeAll(spool);
    assertEquals(after.length, 55);
    assertEquals(after.filter(({ severity }) => severity === "info").slice(0, 50).map(({ sequence }) => sequence), [
      ...Array.from({ length: 50 }, (_, i) => last - 49 + i),
    ]);
    assertGreater(after.find(({ severity }) => severity === "critical")!.sequence, taken[0].sequence);
    assertGreater(after.findLast(({ severity }) => severity === "info")!.sequence, last);
    assertBalanced(spool);
  });
});

Deno.test("Spool on disk keeps its sequences even when it was empty", () => {
  inFolder((path) => {
    const directory = { path, bytesMax: 10_000_000 };
    let highest = 0;
    for (let run = 0; run < 5; run++) {
      using spool = open({ directory }).spool;
      append(spool, "info");
      const { sequence } = spool.take()!;
      assertGreater(sequence, highest);
      highest = sequence;
      spool.acknowledge("info", sequence);
    }
    assertEquals([...Deno.readDirSync(path)].map(({ name }) => name), ["sequences"]);
  });
});

Deno.test("Spool on disk cuts off a torn tail, and says so", () => {
  inFolder((path) => {
    const directory = { path, bytesMax: 10_000_000 };
    {
      using spool = open({ directory }).spool;
      for (let i = 0; i < 10; i++) append(spool, "info", 1000);
    }
    const [file] = [...Deno.readDirSync(path)].filter(({ name }) => name.endsWith(".spool"));
    const segment = `${path}/${file.name}`;
    const { size, mode } = Deno.statSync(segment);
    assertEquals(mode! & 0o777, 0o600);
    Deno.truncateSync(segment, size - 1);
    {
      const { spool, notices } = open({ directory });
      using _ = spool;
      assertEquals(spool.stats.batches.recovered, 9);
      assertStringIncludes(notices.join(), "Dropped 1019 bytes of an unfinished write");
      assertEquals(takeAll(spool).length, 9);
    }
    // One bit in the fifth record: it and what follows are not trusted.
    const bytes = Deno.readFileSync(segment);
    bytes[8 + 4 * 1020 + 500] ^= 1;
    Deno.writeFileSync(segment, bytes);
    const { spool, notices } = open({ directory });
    using _ = spool;
    assertEquals(spool.stats.batches.recovered, 4);
    assertEquals(notices.length, 1);
  });
});

Deno.test("Spool on disk survives a damaged file of sequences with another id, and says so", () => {
  inFolder((path) => {
    const directory = { path, bytesMax: 10_000_000 };
    const first = open({ directory }).spool;
    append(first, "info");
    const { sequence } = first.take()!;
    first[Symbol.dispose]();
    Deno.writeFileSync(`${path}/sequences`, new Uint8Array(1024).fill(7));
    const { spool, notices } = open({ directory });
    using _ = spool;
    assertEquals(notices.length, 1);
    assert(spool.id.some((byte, i) => byte !== first.id[i]));
    append(spool, "info");
    assertEquals(takeAll(spool), [{ severity: "info", sequence }, { severity: "info", sequence: sequence + 1 }]);
  });
});

Deno.test("Spool on disk keeps to its limit, and drops whole files of the least severe", () => {
  inFolder((path) => {
    const directory = { path, bytesMax: 1_000_000 };
    const { spool } = open({ directory, memoryBytesMax: 50_000 });
    using _ = spool;
    for (let i = 0; i < 300; i++) append(spool, "critical", 1000);
    for (let i = 0; i < 3000; i++) append(spool, "debug", 1000);
    for (let i = 0; i < 300; i++) append(spool, "error", 1000);
    const { batches, diskBytes, memoryBytes } = spool.stats;
    assertLess(diskBytes, 1_000_001);
    assertLess(memoryBytes, 50_001);
    const onDisk = [...Deno.readDirSync(path)].filter(({ name }) => name.endsWith(".spool"))
      .reduce((sum, { name }) => sum + Deno.statSync(`${path}/${name}`).size, 0);
    assertEquals(onDisk, diskBytes);
    assertEquals([batches.dropped.critical, batches.dropped.error], [0, 0]);
    assertGreater(batches.dropped.debug, 2000);
    assertBalanced(spool);
    const taken = takeAll(spool);
    assertEquals(taken.length, batches.spooled);
    for (const { severity, sequence } of taken) spool.acknowledge(severity, sequence);
    assertEquals(spool.stats.batches.spooled, 0);
    assertLess(spool.stats.diskBytes, 300_000);
    assertBalanced(spool);
  });
});

Deno.test("Spool falls back to memory while the disk cannot be written to, and goes back when it can", () => {
  inFolder((path) => {
    let nowMs = NOW_MS;
    const directory = { path, bytesMax: 10_000_000 };
    const { spool, notices } = open({ directory, now: () => nowMs });
    using _ = spool;
    append(spool, "info");
    // A folder in the place of the next severity's file stands for a disk that refuses it.
    const name = `0-${String(firstSequence(NOW_MS)).padStart(16, "0")}.spool`;
    Deno.mkdirSync(`${path}/${name}`);
    append(spool, "critical");
    append(spool, "critical");
    assert(spool.stats.diskFailed);
    assertEquals(notices.length, 1);
    assertStringIncludes(notices[0], "batches stay in memory");
    nowMs += 5001;
    append(spool, "critical");
    assertEquals(spool.stats.diskFailed, false);
    assertStringIncludes(notices[1], "can be written to again");
    assertEquals(takeAll(spool).length, 4);
    assertBalanced(spool);
    Deno.removeSync(`${path}/${name}`);
  });
});

Deno.test("Spool refuses a folder that another agent holds, or that others may write to", () => {
  inFolder((path) => {
    const directory = { path, bytesMax: 10_000_000 };
    {
      using _ = open({ directory }).spool;
      assertThrows(() => open({ directory }), Error, "another agent holds it");
      assertEquals(Deno.statSync(path).mode! & 0o777, 0o700);
    }
    Deno.chmodSync(path, 0o777);
    assertThrows(() => open({ directory }), Error, "others may write to it");
  });
});
