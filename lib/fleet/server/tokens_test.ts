import { assertEquals, assertThrows } from "../../../tests/assert.ts";
import { tokenOf } from "../token.ts";
import { tokenHash } from "../../../tests/support/token_hash.ts";
import { parseTokens, TokenFile } from "./tokens.ts";

Deno.test("TokenFile knows whose token it is, however many an agent has", () => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(
      path,
      `# old and new\na ${tokenHash("one")}\n\n  a ${tokenHash("two").toUpperCase()}\nb ${tokenHash("three")}`,
    );
    const tokens = new TokenFile(path);
    assertEquals(["one", "two", "three", "four", ""].map((token) => tokens.agentOf(token)), [
      "a",
      "a",
      "b",
      null,
      null,
    ]);
    assertEquals(tokens.reload(), false);
    Deno.writeTextFileSync(path, `a one\n`);
    assertThrows(() => tokens.reload(), TypeError, "line 1");
    assertEquals(tokens.agentOf("one"), "a");
    Deno.writeTextFileSync(path, `c ${tokenHash("one")}\n`);
    assertEquals(tokens.reload(), true);
    assertEquals(tokens.agentOf("one"), "c");
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("parseTokens() names the line that is wrong, and not what is in it", () => {
  assertThrows(
    () => parseTokens(`a ${tokenHash("x")}\na secret\n`, "tokens"),
    TypeError,
    "Cannot use tokens: line 2 is not",
  );
});

Deno.test("tokenOf() takes bearer tokens only", () => {
  assertEquals(["Bearer abc", "bearer abc", "Basic abc", "Bearer ", "Bearer a b"].map(tokenOf), [
    "abc",
    "abc",
    null,
    null,
    null,
  ]);
});
