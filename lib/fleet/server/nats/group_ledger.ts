/** The stream of groups as a ledger: JetStream knows by a group's id whether somebody has recorded it before. */
import type { JsMsg } from "@nats-io/jetstream";
import type { CorrelatedGroup } from "../../correlation/correlated_group.ts";
import { storedGroup } from "../group_json.ts";
import type { GroupLedger } from "../group_recorder.ts";
import type { StoredGroup } from "../store_messages.ts";
import type { NatsLink } from "./connection.ts";
import { GROUP_SUBJECT, PUBLISH_MS } from "./streams.ts";

/** What a message of the stream of groups holds. */
interface GroupMessage extends Omit<StoredGroup, "endUnixNs"> {
  endUnixNs: string;
}

/** Who recorded a group first; `none`: it was sent, and no answer came yet. */
type Answer = "ours" | "theirs" | "none";

export class NatsLedger implements GroupLedger {
  readonly #link: Pick<NatsLink, "publish">;
  /** Of groups that are being recorded: what fails half-way is asked for again as a whole. */
  readonly #answers = new Map<string, Answer>();

  constructor(link: Pick<NatsLink, "publish">) {
    this.#link = link;
  }

  async record(partition: number, groups: CorrelatedGroup[]): Promise<string[]> {
    for (const group of groups) {
      const before = this.#answers.get(group.id);
      if (before === "ours" || before === "theirs") continue;
      this.#answers.set(group.id, "none");
      const { duplicate } = await this.#link.publish(`${GROUP_SUBJECT}.${partition}`, encode(group), {
        msgID: group.id,
        timeout: PUBLISH_MS,
        // The client would try again by itself, and take for somebody else's what its first try has left there.
        retries: 1,
      });
      // What the stream has after an answer got lost it has from us.
      this.#answers.set(group.id, duplicate && before === undefined ? "theirs" : "ours");
    }
    const added = groups.map(({ id }) => id).filter((id) => this.#answers.get(id) === "ours");
    for (const { id } of groups) this.#answers.delete(id);
    return added;
  }
}

function encode(group: CorrelatedGroup): string {
  const stored = storedGroup(group);
  const message: GroupMessage = { ...stored, endUnixNs: String(stored.endUnixNs) };
  return JSON.stringify(message);
}

/** The group in a message of the stream. */
export function groupOf(message: JsMsg): StoredGroup {
  const group = message.json<GroupMessage>();
  return { ...group, endUnixNs: BigInt(group.endUnixNs) };
}
