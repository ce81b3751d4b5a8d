/** Values to the bytes of a C type and back, in a fixed number of bytes. */

/** Both ends of a conversion; `view` has room for `sizeBytes` at `offset`. */
export interface Codec<T> {
  readonly sizeBytes: number;
  /** @throws {RangeError} when the value has no such form */
  encode(value: T, view: DataView<ArrayBuffer>, offset: number): void;
  decode(view: DataView<ArrayBuffer>, offset: number): T;
}

function outOfRange(value: number | bigint, bits: number): RangeError {
  return new RangeError(`Cannot encode ${value}: it is not an integer of ${bits} bits`);
}

/** `__u32` */
export const U32: Codec<number> = {
  sizeBytes: 4,
  encode(value, view, offset) {
    if (value >>> 0 !== value) throw outOfRange(value, 32);
    view.setUint32(offset, value, true);
  },
  decode: (view, offset) => view.getUint32(offset, true),
};

/** `__u64` */
export const U64: Codec<bigint> = {
  sizeBytes: 8,
  encode(value, view, offset) {
    if (BigInt.asUintN(64, value) !== value) throw outOfRange(value, 64);
    view.setBigUint64(offset, value, true);
  },
  decode: (view, offset) => view.getBigUint64(offset, true),
};

/** Structs that somebody else has written. */
export function bytesCodec(sizeBytes: number): Codec<Uint8Array<ArrayBuffer>> {
  return {
    sizeBytes,
    encode(value, view, offset) {
      if (value.length !== sizeBytes) {
        throw new RangeError(`Cannot encode ${value.length} bytes: the struct has ${sizeBytes}`);
      }
      new Uint8Array(view.buffer, view.byteOffset + offset, sizeBytes).set(value);
    },
    decode: (view, offset) =>
      new Uint8Array(view.buffer, view.byteOffset + offset, sizeBytes).slice() as Uint8Array<ArrayBuffer>,
  };
}
