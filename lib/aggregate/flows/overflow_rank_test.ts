import { assertEquals } from "../../../tests/assert.ts";
import { flowRow } from "../../../tests/support/windows.ts";
import { largestFlows } from "./overflow_rank.ts";

const NO_NETWORKS = { prefixes: [], prefixCount: 0, rest: { packets: 0, bytes: 0 } };

Deno.test("largestFlows() ranks estimates among exact flows, by the least they had", () => {
  const top = [flowRow({ src: "a", packets: 9, bytes: 10 }), flowRow({ src: "b", packets: 5, bytes: 90 })];
  const estimate = (src: string, packets: number, bytes: number) => ({
    ...flowRow({ src, packets, bytes }),
    errorPackets: 100,
    errorBytes: 1_000,
  });
  const estimates = [estimate("c", 7, 5), estimate("d", 5, 90)];
  const overflow = { estimates, ...NO_NETWORKS };
  assertEquals(largestFlows({ top, overflow }, "packets", 10).map(({ src }) => src), ["a", "c", "b", "d"]);
  assertEquals(largestFlows({ top, overflow }, "bytes", 3).map(({ src }) => src), ["b", "d", "a"]);
});

Deno.test("largestFlows() is the top as it is where every flow found room", () => {
  const top = [flowRow({ packets: 2 }), flowRow({ packets: 1 })];
  assertEquals(largestFlows({ top }, "packets", 10), top);
  assertEquals(largestFlows({ top, overflow: { estimates: [], ...NO_NETWORKS } }, "packets", 1), top.slice(0, 1));
});
