/** What `events` and `monitor` share: the router's run from attach to the last record. */
import type { HealthReport, RouterEvent, RouterOptions, RouterReport, SeverityRule } from "../router/protocol.ts";
import { Router } from "../router/router.ts";
import { allRules } from "../router/rules.ts";
import { StopOn } from "./stop_on.ts";

/** What a command does with the run's reports; called in order, on the main thread. */
export interface EventRunHandlers {
  ready(report: Extract<RouterReport, { kind: "ready" }>): void;
  events(events: RouterEvent[]): void;
  health(health: HealthReport): void;
}

/** Empty where it cannot be read: then the homes of users have no rules. */
function passwdText(): string {
  try {
    return Deno.readTextFileSync("/etc/passwd");
  } catch {
    return "";
  }
}

/** The user's rules, then the built-in ones. */
export function rulesWithBuiltIn(own: SeverityRule[]): ReturnType<typeof allRules> {
  return allRules(own, passwdText());
}

/**
 * Follows events until `signal` or the duration. The last report is a `health` that holds the final counts.
 *
 * @param durationMs null: until the signal
 * @throws {WorkerError} when the worker fails
 */
export async function runEvents(
  options: RouterOptions,
  handlers: EventRunHandlers,
  { signal, durationMs }: { signal: AbortSignal; durationMs: number | null },
): Promise<void> {
  using router = new Router(options);
  using limit = new StopOn(signal, () => router.stop());
  for await (const report of router.reports()) {
    switch (report.kind) {
      case "ready":
        limit.after(durationMs);
        handlers.ready(report);
        break;
      case "events":
        handlers.events(report.events);
        break;
      case "health":
        handlers.health(report.health);
        break;
      default:
        report satisfies never;
    }
  }
}
