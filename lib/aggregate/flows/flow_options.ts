/** What a user can set about flow aggregation, and what became of it. Types only. */

import type { Direction } from "../../wire/traffic.ts";
import type { FlowOrder } from "../windows/flow_window.ts";

/** How programs are attached to an interface for ingress. */
export type IngressMode = "native" | "generic" | "tcx" | "clsact";

export interface AttachedInterface {
  name: string;
  ifindex: number;
  /** null: nothing is attached for ingress (`--direction egress`). */
  mode: IngressMode | null;
  /** null: nothing is attached for egress. */
  egress: "tcx" | "clsact" | null;
}

/** Everything a user can set about flow aggregation. */
export interface FlowOptions {
  interfaces: string[];
  direction: Direction | "both";
  /** What to try for ingress: `auto` is native, then generic, then TCX, which is clsact where the kernel has no TCX. */
  ingressMode: IngressMode | "auto";
  /** `tcx` is clsact where the kernel has no TCX. */
  egressHook: "tcx" | "clsact";
  /** Replace an XDP program that somebody else attached. */
  force: boolean;
  windowMs: number;
  /** Let the load choose the length of windows; `windowMs` is then not used. */
  windowAuto?: boolean;
  /** Entries of the IPv4 map, and of the IPv6 map. */
  flowsMax: number;
  /** To which a map that was full may grow; not above `flowsMax` where it is absent. */
  flowsLimit?: number;
  /** Source networks that flows without room are counted by; absent: 16,384. */
  prefixesMax?: number;
  /** How values stay exact: atomic adds on shared values, or a value a CPU. */
  values: "atomic" | "percpu";
  topMax: number;
  /** What ranks flows; absent: packets. */
  order?: FlowOrder;
  /** Expression of `--filter`, already validated; empty for none. */
  filter: string;
  /** Whether to report all flows of each window as IPFIX messages. */
  allFlows?: boolean;
  /** Whether to look for whose flow it is. */
  owners?: boolean;
  /** Whether to count the segments that TCP sends again. */
  retransmits?: boolean;
  /** Folder with `bpf/*.bpf.o` and `lib/libbpf.so.1`. */
  assetsDir: string;
  /** A libbpf to use in the place of the system's. */
  libbpfPath?: string;
}
