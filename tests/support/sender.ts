/**
 * Run in a namespace: sends raw frames through an AF_PACKET socket.
 *
 *     sender.ts IFINDEX < [{"hex": FRAME, "count": N}, ...]
 *
 * Prints {"accepted": frames that the kernel took, "refused": those it did not, "errno": the last reason}.
 */
const AF_PACKET = 17;
const SOCK_RAW = 3;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
});

const frames: { hex: string; count: number }[] = await new Response(Deno.stdin.readable).json();
const fd = libc.symbols.socket(AF_PACKET, SOCK_RAW, 0);
if (fd < 0) throw new Error("Cannot open a packet socket");

// struct sockaddr_ll: u16 family; be16 protocol; i32 ifindex; u16 hatype; u8 pkttype, halen, addr[8]
const address = new DataView(new ArrayBuffer(20));
address.setUint16(0, AF_PACKET, true);
address.setInt32(4, Number(Deno.args[0]), true);

const result = { accepted: 0, refused: 0, errno: 0 };
for (const { hex, count } of frames) {
  const frame = Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
  // The protocol as the frame has it, for the traffic control layer.
  address.setUint16(2, frame[12] << 8 | frame[13]);
  for (let i = 0; i < count; i++) {
    const sent = libc.symbols.sendto(fd, frame, BigInt(frame.length), 0, new Uint8Array(address.buffer), 20);
    if (Number(sent) === frame.length) {
      result.accepted++;
    } else {
      result.refused++;
      result.errno = new Deno.UnsafePointerView(libc.symbols.__errno_location()!).getInt32();
    }
  }
}
libc.symbols.close(fd);
libc.close();
console.log(JSON.stringify(result));
