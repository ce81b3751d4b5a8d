import { assertEquals, assertRejects } from "../../../../tests/assert.ts";
import type { CorrelatedGroup } from "../../correlation/correlated_group.ts";
import type { NatsLink } from "./connection.ts";
import { NatsLedger } from "./group_ledger.ts";

function group(id: string): CorrelatedGroup {
  return {
    ...{ id, rule: "r", kind: "burst", severity: "info", sentence: "s", confidence: 1, key: "k", agents: ["a"] },
    ...{ members: [], links: [], startUnixNs: 1n, endUnixNs: 2n, droppedMembers: 0 },
  } as unknown as CorrelatedGroup;
}

/** A stream that keeps what has come, and whose answers may get lost on their way. */
class FakeStream {
  readonly kept: string[] = [];
  readonly sent: string[] = [];
  /** By id: before or after the stream has it. */
  readonly faults = new Map<string, "before" | "after">();

  readonly link = {
    publish: (_subject: string, _text: string, { msgID: id }: { msgID: string }) => {
      this.sent.push(id);
      const fault = this.faults.get(id);
      this.faults.delete(id);
      if (fault === "before") return Promise.reject(new Error("no leader"));
      const duplicate = this.kept.includes(id);
      if (!duplicate) this.kept.push(id);
      return fault === "after" ? Promise.reject(new Error("timeout")) : Promise.resolve({ duplicate });
    },
  } as unknown as Pick<NatsLink, "publish">;
}

Deno.test("NatsLedger names the groups that nobody had recorded before", async () => {
  const stream = new FakeStream();
  stream.kept.push("b");
  const ledger = new NatsLedger(stream.link);
  assertEquals(await ledger.record(0, [group("a"), group("b"), group("c")]), ["a", "c"]);
  assertEquals(await ledger.record(0, [group("a")]), []);
});

Deno.test("NatsLedger names what it recorded before a failure too, and records nothing twice", async () => {
  for (const fault of ["before", "after"] as const) {
    const stream = new FakeStream();
    stream.kept.push("b");
    stream.faults.set("c", fault);
    const ledger = new NatsLedger(stream.link);
    const groups = ["a", "b", "c", "d"].map(group);
    await assertRejects(() => ledger.record(0, groups), Error);
    assertEquals(await ledger.record(0, groups), ["a", "c", "d"], fault);
    assertEquals(stream.kept, ["b", "a", "c", "d"]);
    assertEquals(stream.sent, ["a", "b", "c", "c", "d"]);
  }
});
