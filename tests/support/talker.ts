/**
 * Run in a namespace: one end of a TCP connection or of an exchange of UDP datagrams.
 *
 *     talker.ts tcp-serve ADDRESS PORT RECEIVE_BYTES SEND_BYTES
 *     talker.ts tcp-connect ADDRESS PORT RECEIVE_BYTES SEND_BYTES
 *     talker.ts udp-send ADDRESS PORT DATAGRAMS BYTES
 *
 * The server prints a line when it listens. Each prints {"received": bytes, "sent": bytes} at its end.
 */
const [mode, hostname, port, ...numbers] = Deno.args;
const [first, second] = numbers.map(Number);

async function exchange(connection: Deno.TcpConn, receiveBytes: number, sendBytes: number): Promise<void> {
  const send = async () => {
    const chunk = new Uint8Array(65_536);
    for (let left = sendBytes; left > 0;) {
      left -= await connection.write(chunk.subarray(0, Math.min(left, chunk.length)));
    }
    await connection.closeWrite();
    return sendBytes;
  };
  const receive = async () => {
    const chunk = new Uint8Array(65_536);
    for (let received = 0;;) {
      const n = await connection.read(chunk);
      if (n === null) return received;
      received += n;
    }
  };
  const [sent, received] = await Promise.all([send(), receive()]);
  connection.close();
  if (received !== receiveBytes) throw new Error(`Cannot be right: received ${received} bytes`);
  console.log(JSON.stringify({ sent, received }));
}

if (mode === "tcp-serve") {
  const listener = Deno.listen({ hostname, port: Number(port) });
  console.log("listening");
  await exchange(await listener.accept(), first, second);
  listener.close();
} else if (mode === "tcp-connect") {
  await exchange(await Deno.connect({ hostname, port: Number(port) }), first, second);
} else {
  const socket = Deno.listenDatagram({
    hostname: hostname.includes(":") ? "::" : "0.0.0.0",
    port: 0,
    transport: "udp",
  });
  let sent = 0;
  const datagram = new Uint8Array(second);
  for (let i = 0; i < first; i++) {
    sent += await socket.send(datagram, { transport: "udp", hostname, port: Number(port) });
  }
  socket.close();
  console.log(JSON.stringify({ sent, received: 0 }));
}
