/** The address of a fleet's server: `HOST:PORT`, `192.0.2.1:PORT` or `[2001:db8::1]:PORT`. */
export interface ServerAddress {
  /** A name or an IP address, without brackets. */
  host: string;
  port: number;
}

/** @throws {TypeError} for anything else */
export function parseServerAddress(text: string): ServerAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65_535) throw new TypeError(`Cannot use ${JSON.stringify(text)}: not HOST:PORT`);
  return { host: match[1] ?? match[2], port };
}

/** Formats an address, with brackets around an IPv6 address. */
export function formatServerAddress({ host, port }: ServerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True for loopback addresses, where plaintext is safe. */
export function isLoopback({ host }: ServerAddress): boolean {
  return host === "localhost" || host === "::1" || /^127(\.[0-9]{1,3}){3}$/.test(host);
}

export function isIpAddress({ host }: ServerAddress): boolean {
  return host.includes(":") || /^[0-9]+(\.[0-9]+){3}$/.test(host);
}
