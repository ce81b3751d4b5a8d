/** An address to listen at, and how it is written. */

/** Where to listen; port 0 is any free one. */
export interface ListenAddress {
  hostname: string;
  port: number;
}

/** `127.0.0.1:9464`, `[::1]:9464`. */
export function formatListen({ hostname, port }: ListenAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
