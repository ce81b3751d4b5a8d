/** IP addresses: bytes in network order to text and back. */

/** A network: `address` has its host bits cleared; 4 or 16 bytes. */
export interface Cidr {
  address: Uint8Array;
  /** Leading bits that count, 0 to 32 or 0 to 128. */
  prefix: number;
}

/** Dotted decimal form of the four bytes at `offset`. */
export function formatIpv4(bytes: Uint8Array, offset = 0): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/**
 * RFC 5952 form of the sixteen bytes at `offset`: lower case, no leading zeros, the first longest run of two or more
 * zero groups as `::`. IPv4-mapped addresses end in dotted decimals.
 */
export function formatIpv6(bytes: Uint8Array, offset = 0): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes[offset + 2 * i] << 8 | bytes[offset + 2 * i + 1]);
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIpv4(bytes, offset + 12)}`;
  }

  let zerosAt = 0;
  let zeros = 1; // a single zero group is written out
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (end < 8 && groups[end] === 0) end++;
    if (end - at > zeros) [zerosAt, zeros] = [at, end - at];
    at = end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (zeros === 1) return hex.join(":");
  return `${hex.slice(0, zerosAt).join(":")}::${hex.slice(zerosAt + zeros).join(":")}`;
}

/** Text of an address of 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  return bytes.length === 4 ? formatIpv4(bytes) : formatIpv6(bytes);
}

/**
 * Bytes of an address in text: 4 for IPv4, 16 for IPv6, null when it is neither. Leading zeros in IPv4 (octal to some
 * programs, decimal to others) and zone identifiers are refused.
 */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** `ADDRESS/PREFIX`, or null. Host bits may be set; they are cleared. */
export function parseCidr(text: string): Cidr | null {
  const [, addressText, prefixText] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  if (addressText === undefined) return null;
  const address = parseAddress(addressText);
  const prefix = Number(prefixText);
  if (address === null || prefix > address.length * 8) return null;
  for (let i = 0; i < address.length; i++) {
    const bits = Math.min(8, Math.max(0, prefix - 8 * i));
    address[i] &= 0xff00 >> bits;
  }
  return { address, prefix };
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) {
    return null;
  }
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0], halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1], true) : [];
  if (head === null || tail === null) return null;

  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return Uint8Array.from([...head, ...new Uint8Array(missing), ...tail]);
}

/** Bytes of colon-separated groups; only the last of an address may be an IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [i, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const ipv4 = last && i === groups.length - 1 ? parseIpv4(group) : null;
    if (ipv4 === null) return null;
    bytes.push(...ipv4);
  }
  return bytes;
}
