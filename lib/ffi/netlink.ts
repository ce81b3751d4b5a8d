/**
 * The part of rtnetlink that traffic control needs: requests, answers, and the attributes in both. The kernel answers
 * while a request is being sent, so nothing here waits.
 */
import { EINTR, SystemError } from "../runtime/errors.ts";
import { Socket } from "./libc.ts";

const AF_NETLINK = 16, SOCK_RAW = 3, NETLINK_ROUTE = 0;

const NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_DUMP = 0x300;
/** Flag of an answer: the dumped objects changed meanwhile, so that the dump may be incomplete. */
const NLM_F_DUMP_INTR = 0x10;
/** Flags of a request that creates an object and replaces none. */
export const NLM_F_EXCL = 0x200, NLM_F_CREATE = 0x400;

const NLMSG_ERROR = 2, NLMSG_DONE = 3;
/** struct nlmsghdr: u32 length; u16 type, flags; u32 sequence, port */
const HEADER_BYTES = 16;
/** Size of the receive buffer: the kernel fills at most 32 KiB. */
const RECEIVE_BYTES = 65_536;
const DUMP_TRIES_MAX = 10;

const NLA_TYPE_MASK = 0x3fff;
/** struct nlattr: u16 length, type */
const ATTRIBUTE_HEADER_BYTES = 4;

function aligned(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** Concatenates byte arrays. */
export function joinBytes(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** An attribute: a number of 32 bits, a text with its NUL, or attributes within it. */
export function encodeAttribute(
  type: number,
  value: number | string | Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const payload = typeof value === "number"
    ? new Uint8Array(Uint32Array.of(value).buffer)
    : typeof value === "string"
    ? new TextEncoder().encode(`${value}\0`)
    : value;
  const bytes = new Uint8Array(aligned(ATTRIBUTE_HEADER_BYTES + payload.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ATTRIBUTE_HEADER_BYTES + payload.length, true);
  view.setUint16(2, type, true);
  bytes.set(payload, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

/** Parses attributes. @returns type to a view of `bytes`; attributes after a malformed one are left out */
export function decodeAttributes(bytes: Uint8Array<ArrayBuffer>): Map<number, Uint8Array<ArrayBuffer>> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const attributes = new Map<number, Uint8Array<ArrayBuffer>>();
  for (let at = 0; at + ATTRIBUTE_HEADER_BYTES <= bytes.length;) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length) break;
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += aligned(length);
  }
  return attributes;
}

/** The number in an attribute of 32 bits; 0 for one that is not there. */
export function attributeNumber(bytes: Uint8Array<ArrayBuffer> | undefined): number {
  return bytes === undefined || bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** The text in an attribute; empty for one that is not there. */
export function attributeText(bytes: Uint8Array<ArrayBuffer> | undefined): string {
  if (bytes === undefined) return "";
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export interface NetlinkRequest {
  type: number;
  /** Flags in addition to those that every request has. */
  flags?: number;
  body: Uint8Array<ArrayBuffer>;
}

/** An rtnetlink socket. It works on the network namespace of the thread that opened it. */
export class RouteSocket implements Disposable {
  readonly #socket = new Socket({ family: AF_NETLINK, type: SOCK_RAW, protocol: NETLINK_ROUTE, what: "rtnetlink" });
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;

  /**
   * Sends a request that changes something.
   *
   * @returns 0, or the errno of the answer
   * @throws {SystemError} when sending fails
   */
  change({ type, flags = 0, body }: NetlinkRequest): number {
    return this.#exchange({ type, flags: flags | NLM_F_ACK, body }, () => {});
  }

  /**
   * Dumps all objects of a kind.
   *
   * @param take takes the body of each answer, which is lent
   * @throws {SystemError}
   */
  dump(request: NetlinkRequest, what: string): Uint8Array<ArrayBuffer>[] {
    for (let tries = 1;; tries++) {
      const bodies: Uint8Array<ArrayBuffer>[] = [];
      const errno = this.#exchange({ ...request, flags: NLM_F_DUMP }, (body) => bodies.push(body.slice()));
      if (errno === 0) return bodies;
      if (errno !== EINTR || tries === DUMP_TRIES_MAX) throw new SystemError(`list ${what}`, errno);
    }
  }

  /** @returns 0, the errno of an answer, or EINTR for a dump that something changed meanwhile */
  #exchange({ type, flags = 0, body }: NetlinkRequest, take: (body: Uint8Array<ArrayBuffer>) => void): number {
    const sequence = ++this.#sequence;
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    header.setUint32(0, HEADER_BYTES + body.length, true);
    header.setUint16(4, type, true);
    header.setUint16(6, NLM_F_REQUEST | flags, true);
    header.setUint32(8, sequence, true);
    this.#socket.send(joinBytes([new Uint8Array(header.buffer), body]));
    let interrupted = false;
    for (;;) {
      const received = this.#socket.receive(this.#buffer);
      const view = new DataView(received.buffer, received.byteOffset, received.length);
      for (let at = 0; at + HEADER_BYTES <= received.length;) {
        const length = view.getUint32(at, true);
        if (length < HEADER_BYTES || at + length > received.length) break;
        const answer = view.getUint16(at + 4, true);
        // What an earlier exchange left is not ours.
        if (view.getUint32(at + 8, true) === sequence) {
          interrupted ||= (view.getUint16(at + 6, true) & NLM_F_DUMP_INTR) !== 0;
          // Both begin with an int: 0, or -errno.
          if (answer === NLMSG_ERROR || answer === NLMSG_DONE) {
            const errno = -view.getInt32(at + HEADER_BYTES, true);
            return errno === 0 && interrupted ? EINTR : errno;
          }
          take(received.subarray(at + HEADER_BYTES, at + length));
        }
        at += aligned(length);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
