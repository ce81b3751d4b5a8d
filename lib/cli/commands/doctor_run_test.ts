import { assertEquals } from "../../../tests/assert.ts";
import { COMMANDS, type Fact, type Feature } from "../../doctor/mod.ts";
import { exitCodeOf, renderExamination } from "./doctor_run.ts";

const privileges: Feature = {
  name: "privileges",
  commands: COMMANDS,
  neededBy: COMMANDS,
  works: true,
  way: "CAP_BPF is held",
  why: "",
  remedy: "",
};
/** A feature that all commands need, so that each has one. */
const base: Feature = { ...privileges, name: "programs", way: "the kernel takes them" };
const owners: Feature = { ...privileges, name: "owners of flows", commands: ["monitor"], neededBy: [], way: "fexit" };
const noOwners: Feature = { ...owners, works: false, way: "", why: "no way to see them", remedy: "Linux 6.3" };
const jit: Fact = { name: "BPF JIT", value: "off", advice: "turn it on" };

Deno.test("renderExamination() judges commands first, then says how each feature is done", () => {
  assertEquals(renderExamination({ features: [privileges, base, owners], facts: [] }, false).split("\n"), [
    "Commands",
    ...COMMANDS.map((command) => `works    ${command}`.padEnd(24).trimEnd()),
    "",
    "Features",
    "works    privileges       CAP_BPF is held",
    "works    programs         the kernel takes them",
    "works    owners of flows  fexit",
    "",
    "This machine",
    "",
    "All of ebpfmon works here.",
    "",
  ]);
});

Deno.test("renderExamination() says why a feature is missing, what to do, and which command lacks it", () => {
  const limited = { ...base, why: "names are cut" };
  const lines = renderExamination({ features: [privileges, limited, noOwners], facts: [jit] }, false).split("\n");
  assertEquals(lines[1], "partly   monitor          missing: owners of flows");
  assertEquals(lines.slice(9), [
    "Features",
    "works    privileges       CAP_BPF is held",
    "works    programs         the kernel takes them",
    "                          limit: names are cut",
    "MISSING  owners of flows  no way to see them",
    "                          to do: Linux 6.3",
    "",
    "This machine",
    "         BPF JIT          off",
    "                          to do: turn it on",
    "",
    "Not all of ebpfmon works here; works partly: monitor.",
    "",
  ]);
});

Deno.test("renderExamination() colours verdicts where it may", () => {
  const text = renderExamination({ features: [privileges, base, noOwners], facts: [] }, true);
  assertEquals(text.includes("\x1b[33mpartly \x1b[0m  monitor"), true);
  assertEquals(text.includes("\x1b[31mMISSING\x1b[0m  owners of flows"), true);
});

Deno.test("exitCodeOf() is 0 only when everything works", () => {
  assertEquals(exitCodeOf([privileges, base, owners]), 0);
  assertEquals(exitCodeOf([privileges, base, noOwners]), 5);
  assertEquals(exitCodeOf([privileges, { ...base, works: false }, owners]), 4);
  assertEquals(exitCodeOf([{ ...privileges, works: false }]), 3);
});
