/** Chooses the interfaces to watch. */
import { defaultInterface } from "../ffi/netdev.ts";

/**
 * The interfaces that were named, or the default route's where none was.
 *
 * @throws {Error} when no interface was named and there is no default route
 */
export function watchedInterfaces(named: string[]): string[] {
  if (named.length > 0) return named;
  const iface = defaultInterface();
  if (iface === null) {
    throw new Error("Cannot choose an interface: there is no default route; name one, as in ebpfmon monitor eth0");
  }
  return [iface];
}
