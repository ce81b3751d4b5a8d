/// <reference lib="deno.worker" />
/** Adds to an entry of a map that another worker adds to as well, for map_entry_test.ts. */
import { BpfMap, type MapSpec } from "../../lib/ffi/bpf_map.ts";
import { MapEntries } from "../../lib/ffi/map_entry.ts";
import { openSystemLibbpf } from "./bpf.ts";

export interface AdderRequest {
  mapFd: number;
  spec: MapSpec;
  elf: Uint8Array<ArrayBuffer>;
  key: Uint8Array<ArrayBuffer>;
  adds: number;
  /** False: by reading the value and writing it back, one greater. */
  atomic: boolean;
}

/** Answers its first message when it is ready, its second, the start, when it is done. */
self.onmessage = ({ data }: MessageEvent<AdderRequest>) => {
  const stack = new DisposableStack();
  const libbpf = stack.use(openSystemLibbpf());
  const map = stack.use(new BpfMap(libbpf, data.mapFd, data.spec, false));
  const entry = stack.use(new MapEntries(libbpf, data.elf, map)).at(data.key);
  self.onmessage = () => {
    for (let i = 0; i < data.adds; i++) {
      if (data.atomic) entry.add(1n);
      else entry.set((entry.get() ?? 0n) + 1n);
    }
    stack.dispose();
    self.postMessage("done");
  };
  self.postMessage("ready");
};
