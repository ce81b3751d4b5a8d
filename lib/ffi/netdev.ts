/** Network interfaces as /proc and /sys show them. */
import { readKernelFile, readKernelLink } from "./libc.ts";

/** Inode of the network namespace of this thread; 0 where /proc does not tell. */
export function ownNetns(): number {
  return Number(/^net:\[(\d+)\]$/.exec(readKernelLink("/proc/thread-self/ns/net"))?.[1] ?? 0);
}

/** Names of the interfaces in this network namespace, sorted. */
export function interfaceNames(): string[] {
  const lines = readKernelFile("/proc/net/dev").trimEnd().split("\n").slice(2);
  return lines.map((line) => line.slice(0, line.indexOf(":")).trim()).sort();
}

/** Largest payload of a frame, bytes; 1500 when the interface does not say. */
export function mtuBytes(iface: string): number {
  try {
    return Number(readKernelFile(`/sys/class/net/${iface}/mtu`));
  } catch {
    return 1500; // /sys can be that of another network namespace
  }
}

/** The default route of the lowest metric in the text of /proc/net/route; null without one. */
export function defaultRouteIpv4(text: string): string | null {
  let best: { iface: string; metric: number } | null = null;
  for (const line of text.trimEnd().split("\n").slice(1)) {
    const [iface, destination, , flags, , , metric, mask] = line.split(/\s+/);
    const up = (parseInt(flags, 16) & 1) !== 0;
    if (!up || destination !== "00000000" || mask !== "00000000") continue;
    if (best === null || Number(metric) < best.metric) best = { iface, metric: Number(metric) };
  }
  return best?.iface ?? null;
}

/** The same for /proc/net/ipv6_route, whose metrics are hexadecimal and whose unreachable default is on `lo`. */
export function defaultRouteIpv6(text: string): string | null {
  let best: { iface: string; metric: number } | null = null;
  for (const line of text.trimEnd().split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields.length < 10 || fields[9] === "lo") continue;
    if (!/^0{32}$/.test(fields[0]) || fields[1] !== "00") continue;
    const metric = parseInt(fields[5], 16);
    if (best === null || metric < best.metric) best = { iface: fields[9], metric };
  }
  return best?.iface ?? null;
}

/** The interface of the default route, IPv4 before IPv6; null without one. */
export function defaultInterface(): string | null {
  const read = (path: string) => {
    try {
      return readKernelFile(path);
    } catch {
      return "";
    }
  };
  return defaultRouteIpv4(read("/proc/net/route")) ?? defaultRouteIpv6(read("/proc/net/ipv6_route"));
}
