/** From the interfaces that were named on the command line to those that are watched. */
import { defaultInterface } from "../ffi/netdev.ts";

/** @throws {Error} when none was named and there is no default route */
export function watchedInterfaces(named: string[]): string[] {
  if (named.length > 0) return named;
  const iface = defaultInterface();
  if (iface === null) {
    throw new Error("Cannot choose an interface: there is no default route; name one, as in ebpfmon monitor eth0");
  }
  return [iface];
}
