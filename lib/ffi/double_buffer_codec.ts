/** Codecs: they convert values to a C type of fixed size and back. */

/** Converts values of one type; `view` has room for `sizeBytes` at `offset`. */
export interface Codec<T> {
  readonly sizeBytes: number;
  /** @throws {RangeError} when the C type cannot hold the value */
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

/** Structs that are encoded already: the bytes are copied. */
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
