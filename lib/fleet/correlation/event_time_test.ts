import { assertEquals } from "../../../tests/assert.ts";
import { at, EPOCH_NS, FakeHost } from "../../../tests/correlation_records.ts";
import type { Severity } from "../../events/event.ts";
import { EventTime } from "./event_time.ts";
import { toUs } from "./record.ts";

const US_PER_S = 1e6;

/** Tells and asks in seconds since the test's epoch. */
class Listener {
  readonly time = new EventTime({ latenessMs: 5_000, idleMs: 60_000, agentsMax: 10 });
  readonly #host = new FakeHost("h");

  at(seconds: number): this {
    this.time.advance(toUs(at(seconds)));
    this.time.settle();
    return this;
  }

  hear(severity: Severity, seconds: number): this {
    this.time.observe(this.#host.event("file_open", seconds, { severity }), toUs(at(seconds)));
    return this;
  }

  get watermark(): number {
    return this.#seconds(this.time.watermarkOf("h"));
  }

  get fleet(): number {
    return this.#seconds(this.time.watermarkUs);
  }

  #seconds(us: number): number {
    return (us - toUs(EPOCH_NS)) / US_PER_S;
  }
}

/** A host of which all severities have come to second 100. */
function current(): Listener {
  const listener = new Listener().at(90).hear("debug", 90).at(100);
  for (const severity of ["critical", "info", "debug"] as const) listener.hear(severity, 100);
  assertEquals(listener.watermark, 95);
  return listener;
}

Deno.test("EventTime waits for the least severe records that may have more, and takes its word for the others", () => {
  const listener = current().at(102).hear("critical", 102);
  assertEquals(listener.watermark, 95);
  assertEquals(listener.hear("info", 102).watermark, 95);
  assertEquals(listener.hear("debug", 101.5).watermark, 96.5);
});

Deno.test("EventTime does not wait for a severity that was quiet for as long as the lateness", () => {
  const listener = current().at(103).hear("info", 103).at(104.9).hear("critical", 104.9);
  assertEquals(listener.watermark, 95);
  assertEquals(listener.at(105).watermark, 98); // information was heard of two seconds ago
  assertEquals(listener.at(108).watermark, 99.9);
});

Deno.test("EventTime expects something of every severity of a host that comes back", () => {
  const listener = current().at(130).hear("critical", 130);
  assertEquals(listener.watermark, 95);
  assertEquals(listener.at(134.9).watermark, 95);
  assertEquals(listener.hear("info", 101).watermark, 95);
  // Now it is known that there is a backlog: for as long as that comes, debug may be behind it, up to a point.
  for (let second = 135; second < 190; second++) listener.at(second).hear("info", second - 34);
  assertEquals(listener.watermark, 95);
  assertEquals(listener.at(190).watermark, 150);
  assertEquals(listener.hear("debug", 152).watermark, 150);
});

Deno.test("EventTime goes on waiting for a backlog that breaks off, until the host was silent for long", () => {
  const listener = current().at(130).hear("critical", 101).hear("critical", 130).at(138);
  assertEquals(listener.watermark, 95);
  assertEquals(listener.hear("info", 102).watermark, 95);
  assertEquals(listener.at(150).hear("debug", 103).watermark, 98);
});

Deno.test("EventTime lets a silent host's watermark follow the others', until it is heard of again", () => {
  const listener = current();
  assertEquals(listener.at(160).watermark, 95);
  assertEquals(listener.at(300).watermark, 235);
  assertEquals(listener.hear("critical", 101).watermark, 95);
  assertEquals(listener.at(301).fleet, 236);
});

Deno.test("EventTime does not take a host for late whose windows are long", () => {
  const [listener, host] = [current(), new FakeHost("h")];
  for (let second = 102; second <= 132; second += 2) {
    listener.at(second).hear("critical", second);
    if (second % 4 !== 0) continue;
    const flow = { ...host.flow(second - 9), startUnixNs: at(second - 10), endUnixNs: at(second) };
    listener.time.observe(flow, toUs(at(second - 9)));
  }
  // Debug was quiet for half a minute: were old flows a backlog, it would be waited for.
  assertEquals(listener.watermark, 118);
});
