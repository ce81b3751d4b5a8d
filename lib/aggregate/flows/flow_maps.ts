/** The maps that flows are counted in: one by address family on each side. */
import { BpfMap, type MapSpec, MapType } from "../../ffi/bpf_map.ts";
import type { BpfObject } from "../../ffi/bpf_object.ts";
import { InnerSlot } from "../../ffi/double_buffer_slot.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import type { Side } from "../../ffi/side.ts";
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE } from "../../wire/layouts.gen.ts";
import type { MapBatch } from "../../wire/records.ts";
import type { FlowOptions } from "./flow_options.ts";
import { fullFlagOffset } from "./overflow_maps.ts";

/** Entries a drain moves a system call: 16,384 IPv6 flows take 1.3 MB. */
const DRAIN_BATCH_MAX = 16_384;

/** How large the maps are, and whether each CPU has values of its own. */
export type FlowMapOptions = Pick<FlowOptions, "flowsMax" | "values">;

/** Entries of the maps of a side. */
export interface FlowsMax {
  v4: number;
  v6: number;
}

/** What a map held when its side was drained. */
export interface DrainedMap {
  entries: number;
  entriesMax: number;
  /** Whether a flow found no room in it. */
  overflowed: boolean;
}

/** The maps of a side, in no slot yet. */
export interface FlowMaps {
  v4: BpfMap;
  v6: BpfMap;
}

/** What a map is made by. */
export function flowMapSpec(family: keyof FlowsMax, options: FlowMapOptions, side: Side): MapSpec {
  return {
    type: options.values === "percpu" ? MapType.percpuHash : MapType.hash,
    name: family === "v4" ? `flows4_side${side}` : `flows6_side${side}`,
    keyBytes: (family === "v4" ? FLOW4_KEY : FLOW6_KEY).size,
    valueBytes: FLOW_VALUE.size,
    entriesMax: options.flowsMax,
  };
}

/** What both maps of a side are made by. */
export function flowMapSpecs(options: FlowMapOptions, side: Side): [v4: MapSpec, v6: MapSpec] {
  return [flowMapSpec("v4", options, side), flowMapSpec("v6", options, side)];
}

/** Closes maps that no slot owns. */
export function disposeMaps({ v4, v6 }: FlowMaps): void {
  v4[Symbol.dispose]();
  v6[Symbol.dispose]();
}

/** Makes both maps of a side on other threads. @throws {SystemError} and then none is left */
export async function createFlowMaps(libbpf: Libbpf, options: FlowMapOptions, side: Side): Promise<FlowMaps> {
  const made = await Promise.allSettled(flowMapSpecs(options, side).map((spec) => BpfMap.createAsync(libbpf, spec)));
  const failed = made.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    for (const result of made) if (result.status === "fulfilled") result.value[Symbol.dispose]();
    throw failed.reason;
  }
  const [v4, v6] = made.map((result) => (result as PromiseFulfilledResult<BpfMap>).value);
  return { v4, v6 };
}

/** The maps of one side, in the slots where programs find them. */
export class FlowSide implements Disposable {
  readonly #side: Side;
  readonly #slots: Record<keyof FlowsMax, InnerSlot>;

  /**
   * Puts maps where programs find them; the side owns them from here on.
   *
   * @throws {SystemError} the maps are then still the caller's
   */
  constructor(object: BpfObject, side: Side, { v4, v6 }: FlowMaps) {
    this.#side = side;
    this.#slots = {
      v4: InnerSlot.put(object.map("flows4"), side, v4),
      v6: InnerSlot.put(object.map("flows6"), side, v6),
    };
  }

  /** Entries that each map can hold. */
  get flowsMax(): FlowsMax {
    const { v4, v6 } = this.#slots;
    return { v4: v4.map.spec.entriesMax, v6: v6.map.spec.entriesMax };
  }

  /** Puts a map into the place of another one of the same family. @returns the other one, which is the caller's */
  replace(family: keyof FlowsMax, fresh: BpfMap): BpfMap {
    return this.#slots[family].replace(fresh);
  }

  /** Empties a map of the side, which has to be quiet. @param globals of the object: whether the map was full is there */
  drain(family: keyof FlowsMax, globals: DataView, take: (batch: MapBatch) => void): DrainedMap {
    const { map } = this.#slots[family];
    const { entriesMax } = map.spec;
    const flag = fullFlagOffset(this.#side, family === "v4" ? "FULL_FLOWS4" : "FULL_FLOWS6");
    const overflowed = globals.getUint32(flag, true) !== 0;
    const entries = map.drain(take, Math.min(DRAIN_BATCH_MAX, entriesMax));
    // Programs try it again.
    globals.setUint32(flag, 0, true);
    return { entries, entriesMax, overflowed };
  }

  [Symbol.dispose](): void {
    this.#slots.v4[Symbol.dispose]();
    this.#slots.v6[Symbol.dispose]();
  }
}
