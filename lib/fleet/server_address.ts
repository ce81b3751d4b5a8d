/** Where a fleet's server is: `HOST:PORT`, `192.0.2.1:PORT`, `[2001:db8::1]:PORT`. */
export interface ServerAddress {
  /** Without brackets. */
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

/** As gRPC, and people, write it. */
export function formatServerAddress({ host, port }: ServerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether nobody else can listen on the way. */
export function isLoopback({ host }: ServerAddress): boolean {
  return host === "localhost" || host === "::1" || /^127(\.[0-9]{1,3}){3}$/.test(host);
}

export function isIpAddress({ host }: ServerAddress): boolean {
  return host.includes(":") || /^[0-9]+(\.[0-9]+){3}$/.test(host);
}
