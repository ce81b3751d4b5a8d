import { assertEquals } from "../../assert.ts";
import type { GuestLine } from "../results.ts";
import { runSubjects } from "./runner.ts";
import { Skip, type Subject, subject, testNames } from "./subject.ts";

const BASE = { kernel: "6.1", ebpfmon: "ebpfmon", data: "/data" };

async function resultsOf(...subjects: Subject[]): Promise<string[]> {
  const lines: GuestLine[] = [];
  await runSubjects(subjects, BASE, (line) => lines.push(line));
  return lines.flatMap((line) => line.kind === "result" ? `${line.outcome} ${line.test} ${line.detail}`.trim() : []);
}

Deno.test("a subject's checks see what it gathered, and each is reported once, in order", async () => {
  const numbers = subject({
    name: "numbers",
    limitSeconds: 5,
    gather: () => Promise.resolve([1, 2]),
    checks: {
      "there are two": (all) => assertEquals(all.length, 2),
      "the first is zero": (all) => assertEquals(all[0] === 0, true, "it is not"),
      "there is a third": () => {
        throw new Skip("not on this kernel");
      },
    },
  });
  assertEquals(testNames([numbers]), [
    "numbers: there are two",
    "numbers: the first is zero",
    "numbers: there is a third",
  ]);
  const results = await resultsOf(numbers);
  assertEquals(results.map((line) => line.split(" ")[0]), ["passed", "failed", "skipped"]);
  assertEquals(results[2], "skipped numbers: there is a third not on this kernel");
});

Deno.test("checks of a subject that could not do its work fail, and the next subject runs", async () => {
  const broken = subject({
    name: "broken",
    limitSeconds: 5,
    gather: () => Promise.reject(new Error("no such program")),
    checks: { a: () => {}, b: () => {} },
  });
  const next = subject({ name: "next", limitSeconds: 5, gather: () => Promise.resolve(0), checks: { c: () => {} } });
  assertEquals(await resultsOf(broken, next), [
    "failed broken: a no such program",
    "failed broken: b no such program",
    "passed next: c",
  ]);
});

Deno.test("a subject that hangs fails when its time is over, and what it owns is let go", async () => {
  let released = false;
  const hanging = subject({
    name: "hanging",
    limitSeconds: 0.05,
    gather(guest) {
      guest.owned.defer(() => void (released = true));
      return new Promise<void>(() => {});
    },
    checks: { a: () => {} },
  });
  assertEquals(await resultsOf(hanging), ["failed hanging: a it took longer than 0.05 s"]);
  assertEquals(released, true);
});
