/** Opens the channels and the journal that a node's plan describes. */
import { CommitJournal, type JournalDescription } from "./channel/commit_journal.ts";
import { NODE_COUNTERS, type NodeEnds } from "./node.ts";
import { type Lane, LANES, type Lanes } from "./channel/lanes.ts";
import type { NodePlan } from "./pipeline_messages.ts";
import { SharedChannel } from "./channel/shared_channel.ts";
import { openChannel } from "./channel/open_channel.ts";

/** Opens the channels of a node, in the order in which the node's journal numbers them. */
export function channelsOf({ input, outputs }: Pick<NodePlan, "input" | "outputs">) {
  const open = (lanes: Lanes) => LANES.map((lane) => openChannel(lanes[lane]));
  return { inputs: open(input), outputs: outputs.flatMap(open) };
}

/** Makes the journal of a node that does not run yet. */
export function createJournal(worker: number, plan: Pick<NodePlan, "input" | "outputs">): JournalDescription {
  return CommitJournal.create({ worker, counters: NODE_COUNTERS.length, outputs: channelsOf(plan).outputs });
}

/**
 * Opens a node's ends of its channels.
 *
 * @param stack disposes of the ends
 * @returns the ends, and the counters that the worker before this one left
 */
export function openNode(
  stack: DisposableStack,
  { worker, input, outputs, journal }: NodePlan,
): { ends: Omit<NodeEnds, "fanOut">; counters: number[] } {
  const receiver = (lane: Lane) => stack.use(openChannel(input[lane]).openReceiver(worker));
  const sender = (lanes: Lanes) => (lane: Lane) => {
    const channel = openChannel(lanes[lane]);
    return stack.use(
      channel instanceof SharedChannel ? channel.openSender(worker, { staged: true }) : channel.openSender(worker),
    );
  };
  const receivers = { urgent: receiver("urgent"), bulk: receiver("bulk") };
  const senders = outputs.map((lanes) => {
    const open = sender(lanes);
    return { urgent: open("urgent"), bulk: open("bulk") };
  });
  const commitJournal = new CommitJournal(journal, {
    inputs: LANES.map((lane) => receivers[lane]),
    outputs: senders.flatMap((lanes) => LANES.map((lane) => lanes[lane])),
  });
  return {
    ends: {
      receivers,
      outputs: senders,
      commit: (lane, counters, events) => commitJournal.commit(counters, LANES.indexOf(lane), events),
    },
    counters: [...CommitJournal.counters(journal)],
  };
}
