/** Opens the HTTP server, with errors that say what to do. */
import { formatListen, type ListenAddress } from "../net/listen_address.ts";

/** @throws {Error} when the address is in use, or cannot be listened on for another reason */
export function serve(
  listen: ListenAddress,
  handler: (request: Request) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname: listen.hostname, port: listen.port, onListen: () => {} }, handler);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.AddrInUse
      ? "the address is in use; stop what uses it, or choose another with --listen ADDR:PORT, or --listen off"
      : (cause as Error).message;
    throw new Error(`Cannot listen on ${formatListen(listen)}: ${reason}`, { cause });
  }
}
