/** What fakes have beyond the contract, which tests/double_buffer_contract_test.ts checks. */
import { assertEquals, assertThrows } from "../../../tests/assert.ts";
import type { BufferedArray, BufferedTable } from "../double_buffer.ts";
import { U32, U64 } from "../double_buffer_codec.ts";
import { ExpectedSets } from "./expected_sets.ts";
import { FakeDoubleBufferedArray, FakeDoubleBufferedHash, FakePointer } from "./fake_double_buffer.ts";

/** A consumer as others are: it knows the interfaces only. */
function publish(ports: BufferedArray<number>, names: BufferedTable<number, bigint>, values: number[]): void {
  using change = ports.setAndDeferSwitchover(values);
  names.setAndDeferSwitchover(values.map((value): [number, bigint] => [value, BigInt(value)]));
  change.flip();
}

function fakes(expected?: ExpectedSets) {
  const pointer = new FakePointer();
  const ports = new FakeDoubleBufferedArray(pointer, 0, { name: "ports", codec: U32, entriesMax: 4, expected });
  const names = new FakeDoubleBufferedHash(pointer, 1, { name: "names", key: U32, value: U64, expected });
  return { pointer, ports, names };
}

Deno.test("ordered expectations hold for exactly these sets in this order", () => {
  const expected = new ExpectedSets().expect("ports", [1]).expect("names", [[1, 1n]]).expect("ports", [2]);
  const { ports, names } = fakes(expected);
  publish(ports, names, [1]);
  assertThrows(() => expected.verify(), Error, "Never set: ports [2]");
  assertThrows(() => names.set([]), Error, "Cannot set names []: expected ports [2]");
  ports.set([2]);
  expected.verify();
  assertThrows(() => ports.set([2]), Error, "Cannot set ports [2]: expected nothing more");
  assertEquals([ports.entries(), names.entries()], [[2], [[1, 1n]]]);
});

Deno.test("unordered expectations hold in any order, each once", () => {
  const expected = new ExpectedSets("unordered").expect("names", [[1, 1n]]).expect("ports", [2]).expect("ports", [1]);
  const { ports, names } = fakes(expected);
  publish(ports, names, [1]);
  assertThrows(() => ports.set([1]), Error, "Cannot set ports [1]: expected ports [2]");
  ports.set([2]);
  expected.verify();
});

Deno.test("an expected error is thrown, and abandons the change it would have joined", () => {
  const expected = new ExpectedSets()
    .expect("ports", [1]).expect("names", [[1, 1n]])
    .expect("ports", [2]).expect("names", [[2, 2n]], { error: new Error("the table is full") })
    .expect("ports", [3]).expect("names", [[3, 3n]]);
  const { pointer, ports, names } = fakes(expected);
  publish(ports, names, [1]);
  assertThrows(() => publish(ports, names, [2]), Error, "the table is full");
  assertEquals([ports.entries(), names.entries(), pointer.isChanging], [[1], [[1, 1n]], false]);
  publish(ports, names, [3]);
  assertEquals([ports.entries(), names.entries()], [[3], [[3, 3n]]]);
  expected.verify();
});

Deno.test("both sides can be looked at, beyond the length of a list too", () => {
  const { pointer, ports, names } = fakes();
  publish(ports, names, [1, 2, 3]);
  assertEquals([ports.elements(pointer.active), ports.elements(pointer.passive)], [[1, 2, 3, 0], [0, 0, 0, 0]]);
  publish(ports, names, [4]);
  assertEquals([ports.elements(pointer.active), ports.elements(pointer.passive)], [[4, 0, 0, 0], [1, 2, 3, 0]]);
  assertEquals([names.entriesOf(pointer.active), names.entriesOf(pointer.passive).length], [[[4, 4n]], 3]);
  publish(ports, names, [5]);
  // What the longer list had left is gone.
  assertEquals(ports.elements(pointer.active), [5, 0, 0, 0]);
  const change = ports.setAndDeferSwitchover([6, 7]);
  assertEquals(ports.elements(pointer.passive), [6, 7, 0, 0]);
  change.abandon();
  assertEquals([ports.elements(pointer.passive), ports.entries()], [[0, 0, 0, 0], [5]]);
});

Deno.test("injected errors come at their step, and waits are counted", () => {
  const { pointer, ports, names } = fakes();
  publish(ports, names, [1]);
  assertEquals(pointer.waits, 0);
  pointer.faults.failAt(1, new Error("no grace"));
  assertThrows(() => ports.set([2]), Error, "no grace");
  assertEquals([ports.entries(), pointer.isChanging], [[1], false]);
  ports.set([2]);
  ports.set([3]);
  assertEquals([pointer.waits, ports.entries(), names.entries()], [2, [3], [[1, 1n]]]);
  assertThrows(() => ports.set([1, 2, 3, 4, 5]), RangeError, 'Cannot put 5 entries into "ports": there is room for 4');
});
