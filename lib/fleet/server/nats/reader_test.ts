import type { JsMsg } from "@nats-io/jetstream";
import { assertEquals } from "../../../../tests/assert.ts";
import { FakeTime } from "../../../../tests/support/fake_time.ts";
import type { NatsLink } from "./connection.ts";
import { StreamReader } from "./reader.ts";

const SILENT_MS = 2000;

interface Status {
  type: string;
}

/** What a consumer of a test sends until it is closed: messages by sequence, and signs of life. */
class FakeConsumer {
  readonly acknowledged: number[] = [];
  isClosed = false;
  readonly #messages = new ReadableStream<JsMsg>({ start: (controller) => void (this.#sender = controller) });
  readonly #statuses = new ReadableStream<Status>({ start: (controller) => void (this.#teller = controller) });
  #sender!: ReadableStreamDefaultController<JsMsg>;
  #teller!: ReadableStreamDefaultController<Status>;
  #delivered = 0;

  /** @param from first sequence that it was asked for */
  constructor(readonly from: number) {}

  send(seq: number, pending = 0): void {
    const info = { deliverySequence: ++this.#delivered, pending };
    this.#sender.enqueue({ seq, info, ack: () => void this.acknowledged.push(seq) } as unknown as JsMsg);
  }

  /** A message that does not arrive. */
  lose(): void {
    this.#delivered++;
  }

  tell(type: string): void {
    this.#teller.enqueue({ type });
  }

  status(): ReadableStream<Status> {
    return this.#statuses;
  }

  close(): Promise<void> {
    if (!this.isClosed) {
      this.isClosed = true;
      this.#sender.close();
      this.#teller.close();
    }
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<JsMsg> {
    return this.#messages.values({ preventCancel: true });
  }
}

/** A stream of which each consumer is another one. */
class FakeStream implements AsyncDisposable {
  readonly time = new FakeTime();
  readonly consumers: FakeConsumer[] = [];
  readonly handled: number[] = [];
  readonly settled: number[] = [];
  readonly notices: string[] = [];
  readonly reader: StreamReader;
  /** Faults of the next consumers that are made. */
  readonly faults: Error[] = [];
  handle: (seq: number) => Promise<void> = () => Promise.resolve();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor() {
    const link = {
      consumers: {
        add: (_stream: string, { opt_start_seq: from }: { opt_start_seq: number }) => {
          const fault = this.faults.shift();
          if (fault !== undefined) return Promise.reject(fault);
          this.consumers.push(new FakeConsumer(from));
          return Promise.resolve({ num_pending: 0 });
        },
        delete: () => Promise.resolve(true),
      },
      client: { consumers: { getConsumerFromInfo: () => ({ consume: () => Promise.resolve(this.consumers.at(-1)) }) } },
    };
    this.reader = new StreamReader(link as unknown as NatsLink, {
      ...{ stream: "STREAM", subject: "subject", name: "test", from: 1, silentMs: SILENT_MS },
      handle: async ({ seq }, settled) => {
        this.settled.push(settled);
        await this.handle(seq);
        this.handled.push(seq);
      },
      notice: (text) => this.notices.push(text),
    });
    this.#running = this.reader.run(this.#stop.signal);
  }

  /** Waits for the consumer that is the nth to be made. */
  async consumer(nth: number): Promise<FakeConsumer> {
    return await this.time.until(() => this.consumers[nth]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using time = this.time;
    this.#stop.abort();
    await time.during(this.#running);
  }
}

Deno.test("StreamReader reads what a consumer left out from another one, each message once and in order", async () => {
  await using stream = new FakeStream();
  const first = await stream.consumer(0);
  for (const seq of [1, 4]) first.send(seq);
  first.lose();
  // 6 got lost: it would come again behind these.
  for (const seq of [7, 9]) first.send(seq);
  const second = await stream.consumer(1);
  assertEquals([first.isClosed, second.from], [true, 5]);
  for (const seq of [6, 7, 9]) second.send(seq);
  await stream.time.until(() => stream.handled.length === 5);
  assertEquals(stream.handled, [1, 4, 6, 7, 9]);
  assertEquals(second.acknowledged, [6, 7, 9]);
});

Deno.test("StreamReader leaves out what comes once more after a change of leader", async () => {
  await using stream = new FakeStream();
  const first = await stream.consumer(0);
  for (const seq of [1, 2, 1, 2, 3]) first.send(seq);
  await stream.time.until(() => stream.handled.length === 3);
  assertEquals(stream.handled, [1, 2, 3]);
});

Deno.test("StreamReader gives up a consumer that says nothing, and keeps one that has nothing to say", async () => {
  await using stream = new FakeStream();
  const first = await stream.consumer(0);
  first.send(1);
  const beats = setInterval(() => first.tell("heartbeat"), 100);
  await stream.time.pass(3500);
  clearInterval(beats);
  await stream.time.pass(SILENT_MS);
  assertEquals(stream.consumers.length, 1);
  const second = await stream.consumer(1);
  assertEquals([first.isClosed, second.from], [true, 2]);
});

Deno.test("StreamReader gives up a consumer that was deleted, or that nobody answers for", async () => {
  for (const type of ["consumer_deleted", "no_responders"]) {
    await using stream = new FakeStream();
    (await stream.consumer(0)).tell(type);
    assertEquals((await stream.consumer(1)).from, 1, type);
  }
});

Deno.test("StreamReader gives a message again whose handling failed, though nothing comes behind it", async () => {
  await using stream = new FakeStream();
  let failures = 1;
  stream.handle = (seq) => seq === 2 && failures-- > 0 ? Promise.reject(new Error("disk full")) : Promise.resolve();
  const first = await stream.consumer(0);
  for (const seq of [1, 2]) first.send(seq);
  const second = await stream.consumer(1);
  assertEquals([second.from, stream.notices], [2, ["cannot read STREAM subject: disk full"]]);
  second.send(2);
  await stream.time.until(() => stream.handled.length === 2);
  assertEquals(stream.handled, [1, 2]);
});

Deno.test("StreamReader goes on after a restart behind what is handled, not behind what was begun", async () => {
  await using stream = new FakeStream();
  const slow = Promise.withResolvers<void>();
  stream.handle = (seq) => seq === 3 ? slow.promise : Promise.resolve();
  const first = await stream.consumer(0);
  for (const seq of [1, 3, 5, 8]) first.send(seq);
  await stream.time.until(() => stream.handled.length === 3);
  assertEquals(stream.reader.caughtUp, false);
  slow.resolve();
  await stream.time.until(() => stream.reader.caughtUp);
  first.send(9);
  await stream.time.until(() => stream.handled.length === 5);
  assertEquals(stream.settled.at(-1), 9);
  assertEquals(stream.settled.slice(2, 4), [2, 2]);
});

Deno.test("StreamReader says once that it cannot read, and again when that happens anew", async () => {
  await using stream = new FakeStream();
  const timeout = new Error("timeout");
  stream.faults.push(timeout, timeout);
  const first = await stream.consumer(0);
  stream.faults.push(Object.assign(new Error("jetstream is not enabled"), { name: "JetStreamNotEnabled" }), timeout);
  first.tell("consumer_deleted");
  await stream.consumer(1);
  const why = ["timeout", "no node of NATS answers for the stream", "timeout"];
  assertEquals(stream.notices, why.map((why) => `cannot read STREAM subject: ${why}`));
});
