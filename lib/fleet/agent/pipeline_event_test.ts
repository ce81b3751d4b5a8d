import { assertEquals } from "../../../tests/assert.ts";
import { fleetEvent } from "../../../tests/support/fleet_events.ts";
import { decodeEvent, encodeEvent } from "../event_codec.ts";
import { enrichedEvent } from "./pipeline_event.ts";

const KNOWN = {
  pid: 7,
  startNs: 1,
  name: "worker",
  ppid: 1,
  parentName: "init",
  exe: "/usr/bin/worker",
  uid: 0,
  user: "root",
  containerId: "c1",
  podUid: "p1",
};

Deno.test("enrichedEvent() carries what the pipeline knows across the wire, and nothing that it does not", () => {
  const { event } = fleetEvent(2);
  const full = enrichedEvent({ ...event, category: "network", priority: 1, service: "https", process: KNOWN });
  assertEquals(decodeEvent(encodeEvent(full)), {
    event,
    enrichment: {
      category: "network",
      priority: 1,
      service: "https",
      ppid: 1,
      exe: "/usr/bin/worker",
      parentName: "init",
      user: "root",
      containerId: "c1",
      podUid: "p1",
    },
  });
  const bare = enrichedEvent({ ...event, category: "unknown", priority: 0, service: "", process: null });
  assertEquals(bare.enrichment, { category: "unknown" });
});
