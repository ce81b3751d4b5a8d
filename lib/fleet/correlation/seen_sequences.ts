/**
 * Which records were seen, by agent and sequence: a bit each, in blocks of 1,024. A block is forgotten once all of its
 * records are older than any that would be taken: a duplicate of those is late, and left out as that.
 */
import { AgedMap } from "./aged_map.ts";
import type { CorrelationPart } from "./partition.ts";

const BLOCK_SEQUENCES = 1_024;
const WORD_BITS = 32;

interface Block {
  agent: string;
  bits: number[];
  newestUs: number;
}

export class SeenSequences {
  readonly #blocksMax: number;
  /** The least recently made first. */
  #blocks = new AgedMap<string, Block>();
  #forgotten = 0;

  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  /** Blocks that had to go while their records could still come again. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /**
   * Whether this is the first time; remembers it.
   *
   * @param part what the record is for, where it may come once for each part of the work
   */
  add({ agent, sequence, part }: { agent: string; sequence: number; part?: CorrelationPart }, timeUs: number): boolean {
    const index = Math.floor(sequence / BLOCK_SEQUENCES);
    const key = `${index}/${part ?? ""}/${agent}`;
    let block = this.#blocks.get(key);
    if (block === undefined) {
      block = { agent, bits: new Array(BLOCK_SEQUENCES / WORD_BITS).fill(0), newestUs: timeUs };
      this.#blocks.set(key, block);
      if (this.#blocks.size > this.#blocksMax) this.#forgetOldest();
    }
    const offset = sequence - index * BLOCK_SEQUENCES;
    const word = offset >>> 5;
    const bit = 1 << (offset & 31);
    if ((block.bits[word] & bit) !== 0) return false;
    block.bits[word] |= bit;
    block.newestUs = Math.max(block.newestUs, timeUs);
    return true;
  }

  /** Forgets what can only come again too late. @param watermarkOf below which a host's records are late */
  forgetBefore(watermarkOf: (agent: string) => number): void {
    for (const [key, { agent, newestUs }] of this.#blocks) if (newestUs < watermarkOf(agent)) this.#blocks.delete(key);
  }

  #forgetOldest(): void {
    this.#blocks.takeOldest();
    this.#forgotten++;
  }

  save() {
    return { blocks: this.#blocks.saved, forgotten: this.#forgotten };
  }

  load({ blocks, forgotten }: { blocks: Map<string, Block>; forgotten: number }): void {
    this.#blocks = new AgedMap(blocks);
    this.#forgotten = forgotten;
  }
}
