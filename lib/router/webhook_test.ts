import { assertEquals } from "../../tests/assert.ts";
import type { After } from "../runtime/timers.ts";
import { Webhook, type WebhookOptions } from "./webhook.ts";

/** A clock whose timers wait until `fire`. */
class FakeClock {
  #timers: { callback: () => void; ms: number }[] = [];
  readonly waits: number[] = [];

  readonly after: After = (ms, callback) => {
    const timer = { callback, ms };
    this.#timers.push(timer);
    this.waits.push(ms);
    return () => this.#timers = this.#timers.filter((other) => other !== timer);
  };

  get pending(): number {
    return this.#timers.length;
  }

  /** Fires the timer with the least time. */
  fire(): void {
    this.#timers.sort((left, right) => left.ms - right.ms);
    this.#timers.shift()?.callback();
  }
}

const settle = () => new Promise<void>((resolve) => setTimeout(resolve));

/** Answers with these statuses in turn, the last one again and again; 0 fails, -1 never answers. */
function scripted(statuses: number[], options: Partial<WebhookOptions> = {}) {
  const clock = new FakeClock();
  const requests: { url: string; init: RequestInit }[] = [];
  const reasons: string[] = [];
  const webhook = new Webhook({
    url: "http://h/hook",
    after: clock.after,
    random: () => 1,
    onFailure: (reason) => reasons.push(reason),
    fetch: (url, init) => {
      requests.push({ url, init });
      const status = statuses[Math.min(requests.length, statuses.length) - 1];
      if (status === 0) return Promise.reject(new TypeError("connection refused"));
      if (status > 0) return Promise.resolve(new Response("body", { status }));
      return new Promise((_, reject) => {
        init.signal!.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      });
    },
    ...options,
  });
  const run = async () => {
    for (let i = 0; i < 20; i++) {
      await settle();
      if (clock.pending > 0) clock.fire();
    }
  };
  return { webhook, clock, requests, reasons, run };
}

Deno.test("Webhook.send() posts JSON", async () => {
  const { webhook, clock, requests, run } = scripted([200]);
  webhook.send('{"a":1}');
  await run();
  const [{ url, init }] = requests;
  assertEquals([url, init.method, init.body, init.redirect], ["http://h/hook", "POST", '{"a":1}', "manual"]);
  assertEquals(init.headers, { "content-type": "application/json" });
  assertEquals([webhook.delivered, webhook.failed, clock.pending], [1, 0, 0]);
});

Deno.test("Webhook retries with a wait that doubles, is jittered and is bounded", async () => {
  const options = { timeoutMs: 99_999, backoffMs: 1000, backoffMsMax: 3000 };
  const { webhook, clock, requests, run } = scripted([500, 0, 429, 200], options);
  webhook.send("{}");
  await run();
  assertEquals([webhook.delivered, requests.length], [1, 4]);
  assertEquals(clock.waits.filter((ms) => ms !== 99_999), [1000, 2000, 3000]);

  const jittered = scripted([500], { ...options, random: () => 0.25, attemptsMax: 2 });
  jittered.webhook.send("{}");
  await jittered.run();
  assertEquals(jittered.clock.waits.filter((ms) => ms !== 99_999), [250]);
});

Deno.test("Webhook gives up after the last attempt, and goes on with the next alert", async () => {
  const { webhook, requests, reasons, run } = scripted([503, 503, 200], { attemptsMax: 2 });
  webhook.send("1");
  webhook.send("2");
  await run();
  assertEquals(requests.map(({ init }) => init.body), ["1", "1", "2"]);
  assertEquals([webhook.delivered, webhook.failed], [1, 1]);
  assertEquals(reasons, ["HTTP status 503, attempt 2 of 2"]);
});

Deno.test("Webhook does not insist where it is refused or sent elsewhere", async () => {
  for (const status of [302, 400, 404]) {
    const { webhook, requests, run } = scripted([status]);
    webhook.send("{}");
    await run();
    assertEquals([webhook.failed, requests.length], [1, 1], String(status));
  }
});

Deno.test("Webhook ends an attempt that takes too long", async () => {
  const { webhook, clock, reasons, run } = scripted([-1], { timeoutMs: 7, attemptsMax: 1 });
  webhook.send("{}");
  await run();
  assertEquals([reasons, clock.waits, clock.pending], [["no answer in 7 ms, attempt 1 of 1"], [7], 0]);
});

Deno.test("Webhook bounds what waits", async () => {
  const { webhook, reasons, run } = scripted([200], { queueMax: 2 });
  for (let i = 0; i < 4; i++) webhook.send(String(i)); // one on its way, two waiting
  assertEquals(reasons, ["too many alerts wait for the webhook"]);
  await run();
  assertEquals([webhook.delivered, webhook.failed], [3, 1]);
});

Deno.test("Webhook.close() waits for what is on its way, and no longer than told", async () => {
  const prompt = scripted([200]);
  prompt.webhook.send("{}");
  await prompt.webhook.close(1000);
  assertEquals([prompt.webhook.delivered, prompt.clock.pending], [1, 0]);

  const stuck = scripted([-1]);
  stuck.webhook.send("1");
  stuck.webhook.send("2");
  const closed = stuck.webhook.close(10);
  await stuck.run();
  await closed;
  assertEquals([stuck.webhook.delivered, stuck.webhook.failed, stuck.clock.pending], [0, 2, 0]);
  stuck.webhook.send("3");
  assertEquals(stuck.webhook.failed, 3);
});
