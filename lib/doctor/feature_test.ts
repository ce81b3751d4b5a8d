import { assertEquals } from "../../tests/assert.ts";
import { type Command, COMMANDS, type Feature, judge } from "./feature.ts";

function feature(name: string, commands: Command[], { works = true, needed = false } = {}): Feature {
  return { name, commands, works, neededBy: needed ? commands : [], way: "", why: "", remedy: "" };
}

const COMMON = [feature("privileges", [...COMMANDS], { needed: true })];

function verdictOn(command: Command, ...features: Feature[]) {
  const { verdict, missing } = judge([...COMMON, ...features]).find((it) => it.command === command)!;
  return { verdict, missing };
}

Deno.test("judge() says that a command works only when all of its features do", () => {
  const flows = feature("flows in", ["monitor"], { needed: true });
  assertEquals(verdictOn("monitor", flows, feature("owners", ["monitor"])), { verdict: "works", missing: [] });
  const owners = feature("owners", ["monitor"], { works: false });
  assertEquals(verdictOn("monitor", flows, owners), { verdict: "partly", missing: ["owners"] });
});

Deno.test("judge() says that a command is broken without a feature that it needs", () => {
  const flows = feature("flows in", ["monitor"], { works: false, needed: true });
  const owners = feature("owners", ["monitor"]);
  assertEquals(verdictOn("monitor", flows, owners), { verdict: "broken", missing: ["flows in"] });
});

Deno.test("judge() says that a command is broken when none of its features works", () => {
  const [exec, open] = ["process_exec", "file_open"].map((name) => feature(name, ["events"], { works: false }));
  assertEquals(verdictOn("events", exec, open), { verdict: "broken", missing: ["process_exec", "file_open"] });
  assertEquals(verdictOn("events", exec, { ...open, works: true }).verdict, "partly");
});

Deno.test("judge() leaves a command alone that does not offer a feature", () => {
  const activity = feature("system calls by process", ["top"], { works: false, needed: true });
  const replay = feature("replay", ["replay"], { needed: true });
  assertEquals(verdictOn("replay", activity, replay), { verdict: "works", missing: [] });
});

Deno.test("judge() says that every command is broken without privileges", () => {
  const verdicts = judge([feature("privileges", [...COMMANDS], { works: false, needed: true })]);
  assertEquals(verdicts.map(({ verdict }) => verdict), COMMANDS.map(() => "broken"));
});
