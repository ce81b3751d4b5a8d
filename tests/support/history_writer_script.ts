/**
 * Stores windows without end, a few a transaction, and prints the number of windows that are committed. Killed by the
 * test that runs it.
 *
 * Arguments: file, seed, first sequence.
 */
import { HistoryWriter } from "../../lib/history/writer.ts";
import { Random } from "./random.ts";
import { STORE, storedWindow } from "./history_store.ts";

const [path, seed, first] = Deno.args;
const random = new Random(Number(seed));
using writer = new HistoryWriter({ ...STORE, path });
for (let sequence = Number(first);;) {
  const count = 1 + random.below(8);
  writer.store(Array.from({ length: count }, () => storedWindow(random, sequence++).window));
  Deno.stdout.writeSync(new TextEncoder().encode(`${sequence}\n`));
}
