import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import type { Feature } from "../ffi/features.ts";
import { renderFeatures } from "./doctor.ts";

const works: Feature = { name: "XDP programs", works: true, needed: true, why: "the kernel takes them", remedy: "" };
const lacks: Feature = { name: "TCX links", works: false, needed: false, why: "unknown", remedy: "Linux 6.6" };

Deno.test("renderFeatures() lines up names, and tells what to do where something is missing", () => {
  assertEquals(renderFeatures([works, lacks], false).split("\n"), [
    "works    XDP programs  the kernel takes them",
    "without  TCX links     unknown: Linux 6.6",
    "",
    "ebpfmon works here.",
    "",
  ]);
});

Deno.test("renderFeatures() names each needed feature that is missing", () => {
  const text = renderFeatures([{ ...works, works: false, remedy: "Linux 4.8" }, lacks], true);
  assertStringIncludes(text, "\x1b[31mMISSING\x1b[0m  XDP programs");
  assertStringIncludes(text, "ebpfmon does not work here: XDP programs.");
});
