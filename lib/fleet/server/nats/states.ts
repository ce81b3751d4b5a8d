/**
 * Checkpoints of partitions: the engine's state in as many messages as it takes, and then a head that names them. Only
 * whoever wrote or read the last head can write the next one: a worker that has been declared dead and is not cannot set
 * its successor back.
 */
import type { NatsLink } from "./connection.ts";
import { STATE_STREAM, STATE_SUBJECT } from "./streams.ts";

export interface PartitionState {
  /** Of the last message in it, in the stream of batches. */
  position: number;
  /** null: of an engine that has seen nothing. */
  state: Uint8Array<ArrayBuffer> | null;
}

interface Head {
  position: number;
  name: string;
  chunks: number;
}

const CHUNK_BYTES = 256 * 1024;

export class PartitionStates {
  readonly #link: NatsLink;
  readonly #subject: string;
  /** Sequence of the last head, for the next one to replace. */
  #headSequence = 0;
  #name: string | null = null;

  constructor(link: NatsLink, partition: number) {
    this.#link = link;
    this.#subject = `${STATE_SUBJECT}.${partition}`;
  }

  async load(): Promise<PartitionState> {
    const head = await this.#get(`${this.#subject}.head`);
    if (head === null) return { position: 0, state: null };
    const { position, name, chunks } = JSON.parse(new TextDecoder().decode(head.data)) as Head;
    this.#headSequence = head.sequence;
    this.#name = name;
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let i = 0; i < chunks; i++) {
      const chunk = await this.#get(`${this.#subject}.${name}.${i}`);
      if (chunk === null) throw new Error(`a part of the state of ${this.#subject} is missing`);
      parts.push(chunk.data);
    }
    return { position, state: await new Blob(parts).bytes() };
  }

  /** @throws when another worker has written one since, or there is no answer */
  async save(position: number, state: Uint8Array): Promise<void> {
    const name = crypto.randomUUID();
    const chunks = Math.ceil(state.length / CHUNK_BYTES);
    for (let i = 0; i < chunks; i++) {
      const chunk = state.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
      await this.#link.publish(`${this.#subject}.${name}.${i}`, chunk);
    }
    const head: Head = { position, name, chunks };
    const { seq } = await this.#link.publish(`${this.#subject}.head`, JSON.stringify(head), {
      expect: { lastSubjectSequence: this.#headSequence },
    });
    this.#headSequence = seq;
    const before = this.#name;
    this.#name = name;
    if (before === null) return;
    await this.#link.manager.streams.purge(STATE_STREAM, { filter: `${this.#subject}.${before}.*` });
  }

  async #get(subject: string): Promise<{ sequence: number; data: Uint8Array<ArrayBuffer> } | null> {
    const message = await this.#link.manager.streams.getMessage(STATE_STREAM, { last_by_subj: subject });
    return message && { sequence: message.seq, data: new Uint8Array(message.data) };
  }
}
