import { assertEquals } from "../assert.ts";
import { isGood, KernelResults, parseGuestLine, renderResult, renderSum, renderTable, type Result } from "./results.ts";

const passed = (test: string) => ({ kind: "result" as const, test, outcome: "passed" as const, detail: "" });

Deno.test("parseGuestLine() takes what a guest reports and nothing else", () => {
  assertEquals(parseGuestLine(JSON.stringify(passed("a"))), passed("a"));
  const time = { kind: "time" as const, subject: "flows", seconds: 12.5 };
  assertEquals(parseGuestLine(JSON.stringify(time)), time);
  const fact = { kind: "fact" as const, table: "doctor", row: "TCX links", value: false };
  assertEquals(parseGuestLine(JSON.stringify(fact)), fact);
  const others = [
    "",
    "{",
    "null",
    "7",
    "[]",
    '{"kind":"result","test":"a","outcome":"ok","detail":""}',
    '{"kind":"x"}',
  ];
  for (const line of others) assertEquals(parseGuestLine(line), null, line);
});

Deno.test("KernelResults counts each test once, and fails what the guest did not report", () => {
  const results = new KernelResults("6.1", ["a", "b", "c"]);
  assertEquals(results.take(passed("a")).outcome, "passed");
  assertEquals(results.take({ ...passed("b"), outcome: "skipped", detail: "no lockdown" }).outcome, "skipped");
  const missing = results.finish("the guest died");
  assertEquals(missing, [{ kernel: "6.1", test: "c", outcome: "failed", detail: "not reported: the guest died" }]);
  assertEquals(renderSum(results.results), "1 passed, 1 failed, 1 skipped");
  assertEquals(results.finish("again"), []);
});

Deno.test("KernelResults fails a test that nobody knows and one that is reported twice", () => {
  const results = new KernelResults("6.1", ["a"]);
  assertEquals([passed("a"), passed("a"), passed("z")].map((line) => results.take(line).outcome), [
    "passed",
    "failed",
    "failed",
  ]);
  assertEquals(isGood(results.results), false);
});

Deno.test("a run of nothing, and one that only skipped, is not good", () => {
  const result: Result = { kernel: "6.1", test: "a", outcome: "passed", detail: "" };
  assertEquals(isGood([]), false);
  assertEquals(isGood([{ ...result, outcome: "skipped" }]), false);
  assertEquals(isGood([result]), true);
  assertEquals(isGood([result, { ...result, outcome: "failed" }]), false);
});

Deno.test("a result is one line, a sum leaves out what is zero, and a table has a row a kernel", () => {
  const results: Result[] = [
    { kernel: "6.1", test: "flows: a", outcome: "passed", detail: "" },
    { kernel: "6.1", test: "flows: b", outcome: "failed", detail: "expected 1\n  got 2" },
  ];
  assertEquals(results.map(renderResult), ["ok 6.1 flows: a", "FAILED 6.1 flows: b (expected 1 | got 2)"]);
  assertEquals(renderSum(results), "1 passed, 1 failed");
  const rows = [{ kernel: "6.1", release: "6.1.0-50", seconds: 241.4 }, { kernel: "6.12", release: "", seconds: 0 }];
  assertEquals(renderTable(rows, results).split("\n"), [
    "kernel  release   passed  failed  skipped  seconds",
    "6.1     6.1.0-50       1       1        0      241",
    "6.12    -              0       0        0        0",
  ]);
});
