/** Letting messages in between pieces of work: a turn of the event loop, without the millisecond that a timer takes. */

let turn: { port: MessagePort; waiting: (() => void)[] } | undefined;

function makeTurn() {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()!();
  return { port: port2, waiting };
}

/** Resolves in the event loop's next turn, some microseconds from now, behind messages that have come. */
export function breathe(): Promise<void> {
  const { port, waiting } = turn ??= makeTurn();
  return new Promise((resolve) => {
    waiting.push(resolve);
    port.postMessage(null);
  });
}
