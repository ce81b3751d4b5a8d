/** The one method of the gRPC service, for client and server. Agents send batches as the bytes that were spooled. */
import { Buffer } from "node:buffer";
import { AgentMessage, ServerMessage } from "./proto/ebpfmon.gen.ts";

export const STREAM_PATH = "/ebpfmon.v1.Fleet/Stream";

/** A Node buffer, as gRPC wants them, that shares the memory of `bytes`. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The tag of field 2 of AgentMessage, `batch`, which is length-delimited. */
const BATCH_TAG = 2 << 3 | 2;

/** Encodes `AgentMessage { batch }` around an encoded batch. */
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

/** @returns a copy of the batch in a message as `frameBatch` makes it; null when it is framed in another way */
export function unframeBatch(message: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (message[0] !== BATCH_TAG) return null;
  let lengthBytes = 0;
  let at = 1;
  for (let shift = 0; at < message.length; shift += 7) {
    const byte = message[at++];
    lengthBytes += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  // Anything behind it would be part of the message too.
  return at + lengthBytes === message.length ? new Uint8Array(message.subarray(at)) : null;
}

/** The most bytes that `frameBatch` adds to a batch. */
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
