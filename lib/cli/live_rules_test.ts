import { assertEquals, assertRejects } from "../../tests/assert.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { LiveRules, NO_RULES } from "./live_rules.ts";

/** A kernel that takes rules, a file, and ears. */
class Host {
  text = "rules: []";
  fileStamp: string | null = "1";
  refusal: string | null = null;
  readonly applied: RuleSet[] = [];
  readonly notices: string[] = [];
  #generation = 1;

  async apply(own: RuleSet): Promise<number> {
    await Promise.resolve();
    if (this.refusal !== null) throw new Error(this.refusal);
    this.applied.push(own);
    return ++this.#generation;
  }
  readFile(path: string): string {
    assertEquals(path, "r.yaml");
    return this.text;
  }
  stamp(): string | null {
    return this.fileStamp;
  }
  notice(text: string): void {
    this.notices.push(text);
  }
}

Deno.test("LiveRules starts with what it is given", () => {
  using rules = new LiveRules(new Host(), NO_RULES, null);
  const { own, generation, source } = rules.active;
  assertEquals([own, generation, source], [NO_RULES, 1, "start"]);
});

Deno.test("LiveRules.reload() puts the file in force", async () => {
  const host = new Host();
  using rules = new LiveRules(host, NO_RULES, "r.yaml");
  host.text = "rate_limit: 7";
  await rules.reload();
  assertEquals(host.applied, [{ rules: [], rateLimit: 7 }]);
  assertEquals([rules.active.generation, rules.active.source], [2, "file"]);
  assertEquals(host.notices, ["the rules of r.yaml are in force, as generation 2"]);
});

Deno.test("LiveRules.refresh() puts the same rules in force again, or says what the kernel has against them", async () => {
  const host = new Host();
  using rules = new LiveRules(host, { rules: [], rateLimit: 7 }, null);
  await rules.refresh();
  assertEquals(host.applied, [{ rules: [], rateLimit: 7 }]);
  assertEquals([rules.active.generation, rules.active.source], [2, "start"]);
  host.refusal = "the kernel is full";
  await assertRejects(() => rules.refresh(), Error, "the kernel is full");
  assertEquals(rules.active.generation, 2);
});

Deno.test("LiveRules.reload() of a wrong file changes nothing and says where it is wrong", async () => {
  const host = new Host();
  using rules = new LiveRules(host, NO_RULES, "r.yaml");
  host.text = "rules:\n  - name: x";
  await rules.reload();
  host.text = "rules: []";
  host.refusal = "the kernel is full";
  await rules.reload();
  assertEquals([host.applied, rules.active.generation], [[], 1]);
  assertEquals(host.notices, [
    "the rules stay as they were: r.yaml:2:5: the rule has no match",
    "the rules stay as they were: the kernel is full",
  ]);
});

Deno.test("LiveRules.put() throws what is wrong, and goes on with the next", async () => {
  const host = new Host();
  using rules = new LiveRules(host, NO_RULES, null);
  await assertRejects(() => rules.put("{", "json"), SyntaxError, "rules:1:");
  assertEquals((await rules.put('{"rate_limit": 1}', "json")).generation, 2);
  assertEquals([rules.active.own, rules.active.source], [{ rules: [], rateLimit: 1 }, "api"]);
});

Deno.test("LiveRules makes changes one after another, in the order in which they came", async () => {
  const host = new Host();
  using rules = new LiveRules(host, NO_RULES, "r.yaml");
  await Promise.all([1, 2, 3].map((limit) => rules.put(`rate_limit: ${limit}`, "yaml")));
  assertEquals(host.applied.map(({ rateLimit }) => rateLimit), [1, 2, 3]);
  assertEquals(rules.active.generation, 4);
});

Deno.test("LiveRules.reload() without a file says that there is none", async () => {
  const host = new Host();
  using rules = new LiveRules(host, NO_RULES, null);
  await rules.reload();
  assertEquals(host.notices, ["no file of rules was given, so there is none to read again"]);
});

Deno.test("LiveRules.watch() reads a file again when it has changed, and not while it is gone", async () => {
  using time = new FakeTime();
  const host = new Host();
  using rules = new LiveRules(host, NO_RULES, "r.yaml");
  rules.watch();
  host.fileStamp = null;
  await time.pass(1_200);
  assertEquals(host.applied.length, 0);
  host.fileStamp = "2";
  host.text = "rate_limit: 9";
  await time.pass(1_200);
  assertEquals(host.applied, [{ rules: [], rateLimit: 9 }]);
});
