/** The service's one method, as client and server name it. Agents send bytes that were encoded when they were spooled. */
import { Buffer } from "node:buffer";
import { AgentMessage, ServerMessage } from "../export/proto/ebpfmon.gen.ts";

export const STREAM_PATH = "/ebpfmon.v1.Fleet/Stream";

/** gRPC asks for Node's buffers; this one shares the memory. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Field 2 of AgentMessage, length-delimited. */
const BATCH_TAG = 2 << 3 | 2;

/** `AgentMessage { batch }` around a batch that is encoded already. */
export function frameBatch(batch: Uint8Array): Buffer {
  const lengthBytes: number[] = [];
  for (let rest = batch.length; rest > 0 || lengthBytes.length === 0; rest >>>= 7) {
    lengthBytes.push(rest > 0x7f ? rest & 0x7f | 0x80 : rest);
  }
  const head = 1 + lengthBytes.length;
  const frame = Buffer.allocUnsafe(head + batch.length);
  frame[0] = BATCH_TAG;
  frame.set(lengthBytes, 1);
  frame.set(batch, head);
  return frame;
}

/** Around a batch, what `frameBatch` adds at most. */
export const FRAME_OVERHEAD_BYTES = 6;

export function encodeServerMessage(message: Partial<ServerMessage>): Buffer {
  return bufferOf(
    ServerMessage.encode({
      welcome: undefined,
      ack: undefined,
      credit: undefined,
      filter: undefined,
      goaway: undefined,
      ...message,
    }).finish(),
  );
}

export function encodeHello(hello: NonNullable<AgentMessage["hello"]>): Buffer {
  return bufferOf(AgentMessage.encode({ hello, batch: undefined }).finish());
}
