import { assertEquals, assertRejects } from "../../tests/assert.ts";
import { PendingCalls } from "./pending_calls.ts";

Deno.test("PendingCalls gives each question its own answer, in whatever order they come", async () => {
  const calls = new PendingCalls<string>("over");
  const ids: number[] = [];
  const asked = ["a", "b", "c"].map(() => calls.ask((id) => ids.push(id)));
  assertEquals(new Set(ids).size, 3);
  calls.answer(ids[2], "third");
  calls.refuse(ids[1], new Error("no"));
  calls.answer(ids[0], "first");
  calls.answer(99, "nobody asked");
  assertEquals(await asked[0], "first");
  await assertRejects(() => asked[1], Error, "no");
  assertEquals(await asked[2], "third");
});

Deno.test("PendingCalls tells those that wait why it ended, and those that come later that it has", async () => {
  const calls = new PendingCalls<string>("over");
  const waiting = calls.ask(() => {});
  assertEquals(calls.ended, false);
  calls.end(new Error("it broke"));
  await assertRejects(() => waiting, Error, "it broke");
  let sent = false;
  await assertRejects(() => calls.ask(() => sent = true), Error, "over");
  assertEquals([calls.ended, sent], [true, false]);
});

Deno.test("PendingCalls.endWith() ends with what answers, and for its reason", async () => {
  for (const why of [null, new Error("it broke")]) {
    const calls = new PendingCalls<number>("too late");
    const asked = calls.ask(() => {});
    const over = calls.endWith(() => why === null ? Promise.resolve() : Promise.reject(why));
    await assertRejects(() => asked, Error, why === null ? "too late" : "it broke");
    if (why === null) await over;
    else await assertRejects(() => over, Error, "it broke");
    assertEquals(calls.ended, true);
  }
});
