/** The address families of events. */
import { AF_INET, AF_INET6 } from "../../net/address_family.ts";

/** Their numbers in `enum Family` of lib/fleet/proto/ebpfmon.proto are one more than their place here. */
const FAMILIES = ["ipv4", "ipv6", "unix"] as const;

export type Family = typeof FAMILIES[number];

/** The number in `enum Family`. */
export function familyNumber(family: Family): number {
  return FAMILIES.indexOf(family) + 1;
}

/** The family with that number in `enum Family`; undefined for a number that this version does not know. */
export function familyOf(number: number): Family | undefined {
  return FAMILIES[number - 1];
}

/** Whether an address family of the kernel is that of IPv4 or IPv6. */
export function isInternet(family: number): boolean {
  return family === AF_INET || family === AF_INET6;
}
