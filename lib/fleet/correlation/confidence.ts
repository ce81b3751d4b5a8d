/**
 * How sure a group is, 0 to 1: 1 where nothing is in doubt, and for each doubt, once, times what is left of the
 * confidence by its factor. The factors are judgements, not measurements; what is measured is how often groups are right
 * (tests/correlation_accuracy_test.ts).
 */
import type { Doubt } from "./correlated_group.ts";

const FACTORS: Record<Doubt, number> = {
  /** A parent is known by what the agent read from /proc after the event, not by the kernel at an exec. */
  parent_from_enrichment: 0.9,
  /** Processes of it were forgotten to make room; children of theirs are missing. */
  history_lost: 0.8,
  /** More members than are kept. */
  members_left_out: 0.95,
  /** Closed to make room or at the end of a run: more might have come. */
  closed_early: 0.8,
  /** Some records stand for several events; what the others did is not known. */
  sampled: 0.95,
  /** Who connected to whom is judged by the port numbers. */
  roles_guessed: 0.9,
  /** The two ends saw it begin more than a second apart. */
  clocks_disagree: 0.8,
  /** More hosts than two claim an end: private addresses that occur twice. */
  more_than_two_hosts: 0.6,
  /** Killed was another process of the same cgroup than the one that met the limit. */
  same_cgroup_only: 0.8,
  /** Killed was a process of another cgroup, on the same host. */
  same_host_only: 0.5,
};

export function confidenceOf(doubts: readonly Doubt[]): number {
  return doubts.reduce((confidence, doubt) => confidence * FACTORS[doubt], 1);
}
