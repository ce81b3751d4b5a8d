/** Converts events of the pipeline to events as agents send them. */
import type { EnrichedEvent, EventEnrichment } from "../enriched_event.ts";
import type { PipelineEvent } from "../../pipeline/pipeline_messages.ts";

/** Makes an enriched event. Fields that the pipeline does not know, which are 0 or empty there, are left out. */
export function enrichedEvent(event: PipelineEvent): EnrichedEvent {
  const { process, category, priority, service } = event;
  const enrichment: EventEnrichment = { category };
  if (priority > 0) enrichment.priority = priority;
  if (service) enrichment.service = service;
  if (process !== null) {
    enrichment.ppid = process.ppid;
    if (process.exe) enrichment.exe = process.exe;
    if (process.parentName) enrichment.parentName = process.parentName;
    if (process.user) enrichment.user = process.user;
    if (process.containerId) enrichment.containerId = process.containerId;
    if (process.podUid) enrichment.podUid = process.podUid;
  }
  return { event, enrichment };
}
