import { assertEquals } from "../../tests/assert.ts";
import { routerEvent } from "../../tests/support/events.ts";
import { EVENT_TYPES } from "../events/event.ts";
import { decodeEvent, encodeEvent } from "./event_codec.ts";
import * as proto from "./proto/ebpfmon.gen.ts";

Deno.test("the EventType of ebpfmon.proto has the types of the list, each with its number and one more", () => {
  const names = Object.entries(proto.EventType).filter(([, number]) => typeof number === "number");
  assertEquals(names.filter(([name]) => !/UNSPECIFIED|UNRECOGNIZED/.test(name)), [
    ...EVENT_TYPES.entries().map(([i, name]) => [`EVENT_TYPE_${name.toUpperCase()}`, i + 1] as [string, number]),
  ]);
});

Deno.test("decodeEvent() gives an event of every type back as encodeEvent() got it", () => {
  const events = EVENT_TYPES.map((type) => ({ event: routerEvent(type) }));
  const sent = events.map((event) => proto.Event.encode(encodeEvent(event)).finish());
  assertEquals(sent.map((bytes) => decodeEvent(proto.Event.decode(bytes))), events);
});

Deno.test("decodeEvent() is null for a type that it does not know, and for a message without its type's part", () => {
  const message = encodeEvent({ event: routerEvent("security_violation") });
  assertEquals(decodeEvent({ ...message, type: EVENT_TYPES.length + 1 }), null);
  assertEquals(decodeEvent({ ...message, type: proto.EventType.EVENT_TYPE_UNSPECIFIED }), null);
  assertEquals(decodeEvent({ ...message, securityViolation: undefined }), null);
});
