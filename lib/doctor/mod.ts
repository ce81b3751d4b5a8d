/**
 * Finds out what ebpfmon can do on this machine. Each feature is tried with the programs that the commands use; nothing
 * is concluded from a version number.
 *
 * @example
 * ```ts
 * const { features, facts } = await examine({ libbpf, assetsDir: assetsDir() });
 * for (const { command, verdict } of judge(features)) console.log(command, verdict);
 * ```
 */
import { checkActivity } from "./activity.ts";
import type { Check, CheckContext } from "./check.ts";
import { checkEvents } from "./events.ts";
import { kernelFacts } from "./facts.ts";
import type { Fact, Feature } from "./feature.ts";
import { checkFlows } from "./flows.ts";
import { checkOwners } from "./owners.ts";
import { checkPrivileges, libbpfFeature } from "./privileges.ts";
import { checkRetransmits } from "./retransmits.ts";

export { COMMANDS, type CommandVerdict, type Fact, type Feature, judge } from "./feature.ts";

/** The checks, in the order in which their features are shown. */
const CHECKS: readonly Check[] = [checkFlows, checkOwners, checkRetransmits, checkEvents, checkActivity];

/**
 * Tries every feature. Takes about a second; leaves nothing attached. Without the privileges only those are reported.
 */
export async function examine(context: CheckContext): Promise<{ features: Feature[]; facts: Fact[] }> {
  const facts = kernelFacts();
  const features = [checkPrivileges(), libbpfFeature(context.libbpf)];
  if (!features[0].works) return { features, facts };
  for (const check of CHECKS) features.push(...await check(context));
  return { features, facts };
}
