import { assertEquals } from "../../tests/assert.ts";
import { EPERM, refusalOf, SystemError, UnsupportedError } from "./errors.ts";

Deno.test("refusalOf() finds the refused call, also behind an error that explains it", () => {
  const refusal = new SystemError('create map "ring_normal"', EPERM);
  assertEquals(refusalOf(refusal), refusal);
  assertEquals(
    refusalOf(new UnsupportedError("before Linux 5.11 maps count as locked memory", { cause: refusal })),
    refusal,
  );
  assertEquals(refusalOf(new RangeError("a defect")), null);
  assertEquals(refusalOf("no error at all"), null);
});
