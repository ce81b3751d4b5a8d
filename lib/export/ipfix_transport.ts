/** How IPFIX messages reach a collector: datagrams, or one stream of them (RFC 7011, section 10). */
import type { ListenAddress } from "../net/listen_address.ts";

export interface IpfixTarget extends ListenAddress {
  protocol: "udp" | "tcp";
}

/** An open way to the collector. */
export interface IpfixTransport extends Disposable {
  /** Resolves when the kernel has the message. @throws when the collector is gone */
  send(message: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The collector has ended it. */
  readonly ended: boolean;
}

const CONNECT_MS = 5_000;
/** A collector that takes nothing for this long is as good as gone. */
const SEND_MS = 10_000;

/** @throws when there is no such host, or nobody listens there (TCP) */
export function openTransport(target: IpfixTarget, signal: AbortSignal): Promise<IpfixTransport> {
  return target.protocol === "udp" ? openUdp(target) : openTcp(target, signal);
}

async function openUdp({ hostname, port }: IpfixTarget): Promise<IpfixTransport> {
  // Loaded here: they cost every start that has no collector 50 ms.
  const [{ createSocket }, { lookup }] = await Promise.all([import("node:dgram"), import("node:dns/promises")]);
  const { address, family } = await lookup(hostname);
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  // What fails is told to the callback of `send`; without a listener it would be thrown as well.
  socket.on("error", () => {});
  return {
    ended: false,
    send: (message) =>
      new Promise((resolve, reject) =>
        socket.send(message, port, address, (error) => error === null ? resolve() : reject(error))
      ),
    [Symbol.dispose]: () => void socket.close(),
  };
}

async function openTcp({ hostname, port }: IpfixTarget, signal: AbortSignal): Promise<IpfixTransport> {
  const connection = await Deno.connect({
    hostname,
    port,
    signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]),
  });
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    connection.close();
  };
  // A collector never says anything: whatever ends the reading ends the connection.
  const watching = (async () => {
    const buffer = new Uint8Array(1024);
    while (await connection.read(buffer) !== null);
  })().catch(() => {}).then(close);
  void watching;
  return {
    get ended() {
      return closed;
    },
    async send(message) {
      const timer = setTimeout(close, SEND_MS);
      try {
        for (let at = 0; at < message.length;) at += await connection.write(message.subarray(at));
      } finally {
        clearTimeout(timer);
      }
    },
    [Symbol.dispose]: close,
  };
}
