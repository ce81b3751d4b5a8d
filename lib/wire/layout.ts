/**
 * Reads and writes the fields of C structs in memory that the kernel shares with us. The layouts themselves come from
 * the BPF objects' BTF (layouts.gen.ts), so nothing here knows an offset. Loops over many records take `offset` from
 * the layout once and use the DataView themselves; these functions are for everything that is not hot.
 */

/** An integer: `be` is one that C declares as `__be16`, `__be32` or `__be64`, in network byte order. */
export interface IntegerLayout {
  readonly kind: "uint" | "int" | "be";
  readonly offset: number;
  readonly size: 1 | 2 | 4 | 8;
}

export interface BoolLayout {
  readonly kind: "bool";
  readonly offset: number;
  readonly size: 1;
}

/** `char name[size]`: text up to the first NUL. */
export interface CharsLayout {
  readonly kind: "chars";
  readonly offset: number;
  readonly size: number;
}

/** `__u8 name[size]`: opaque bytes, such as an IPv6 address. */
export interface BytesLayout {
  readonly kind: "bytes";
  readonly offset: number;
  readonly size: number;
}

/** An array of integers. */
export interface ArrayLayout {
  readonly kind: "array";
  readonly offset: number;
  readonly size: number;
  readonly length: number;
  readonly element: Omit<IntegerLayout, "offset">;
}

export type FieldLayout = IntegerLayout | BoolLayout | CharsLayout | BytesLayout | ArrayLayout;

/** A struct, or a data section of a BPF object. The fields of a struct within a struct are named `outer.inner`. */
export interface StructLayout {
  readonly size: number;
  readonly fields: Readonly<Record<string, FieldLayout>>;
}

export type FieldName<L extends StructLayout> = keyof L["fields"] & string;

type IntegerValue<Size> = Size extends 8 ? bigint : number;

/** What a field reads as and is written from. */
export type FieldValue<F> = F extends { kind: "bool" } ? boolean
  : F extends { kind: "chars" } ? string
  : F extends { kind: "bytes" } ? Uint8Array<ArrayBufferLike>
  : F extends { kind: "array"; element: { size: infer Size } } ? IntegerValue<Size>[]
  : F extends { kind: IntegerLayout["kind"]; size: infer Size } ? IntegerValue<Size>
  : never;

const UTF8_DECODER = new TextDecoder();
const UTF8_ENCODER = new TextEncoder();

/**
 * Reads one field. `bytes` come as a view of the memory, not a copy.
 *
 * @param view the memory
 * @param layout the struct's generated layout
 * @param field the field's C name
 * @param base where in `view` the struct starts
 *
 * @example
 * ```ts
 * import { FLOW_VALUE } from "./layouts.gen.ts";
 * const packets: bigint = readField(new DataView(new ArrayBuffer(FLOW_VALUE.size)), FLOW_VALUE, "packets");
 * ```
 */
export function readField<L extends StructLayout, N extends FieldName<L>>(
  view: DataView,
  layout: L,
  field: N,
  base = 0,
): FieldValue<L["fields"][N]> {
  return readValue(view, layout.fields[field], base) as FieldValue<L["fields"][N]>;
}

function readValue(view: DataView, field: FieldLayout, base: number): FieldValue<FieldLayout> {
  const at = base + field.offset;
  switch (field.kind) {
    case "uint":
    case "int":
    case "be":
      return readInteger(view, field, at);
    case "bool":
      return view.getUint8(at) !== 0;
    case "chars": {
      const chars = bytesOf(view, at, field.size);
      const end = chars.indexOf(0);
      // A copy, because TextDecoder refuses shared memory.
      return UTF8_DECODER.decode(chars.slice(0, end < 0 ? field.size : end));
    }
    case "bytes":
      return bytesOf(view, at, field.size);
    case "array": {
      const { element } = field;
      return Array.from({ length: field.length }, (_, i) => readInteger(view, element, at + i * element.size)) as
        | number[]
        | bigint[];
    }
    default:
      return field satisfies never;
  }
}

/**
 * Writes one field. Text is padded with NULs and always ends in one.
 *
 * @throws {RangeError} when the value does not fit: an integer outside the field's range, text without room for its
 * NUL, or any other length than the field's for bytes and arrays
 */
export function writeField<L extends StructLayout, N extends FieldName<L>>(
  view: DataView,
  layout: L,
  field: N,
  value: FieldValue<L["fields"][N]>,
  base = 0,
): void {
  writeValue(view, layout.fields[field], field, value, base);
}

function writeValue(
  view: DataView,
  field: FieldLayout,
  name: string,
  value: FieldValue<FieldLayout>,
  base: number,
): void {
  const at = base + field.offset;
  switch (field.kind) {
    case "uint":
    case "int":
    case "be":
      return writeInteger(view, field, name, value as number | bigint, at);
    case "bool":
      return view.setUint8(at, value ? 1 : 0);
    case "chars": {
      const chars = UTF8_ENCODER.encode(value as string);
      if (chars.length >= field.size) {
        throw new RangeError(`Cannot write field "${name}": text has ${chars.length} bytes, room is ${field.size - 1}`);
      }
      const target = bytesOf(view, at, field.size);
      target.fill(0);
      return target.set(chars);
    }
    case "bytes":
      checkLength(name, (value as Uint8Array).length, field.size);
      return bytesOf(view, at, field.size).set(value as Uint8Array);
    case "array": {
      const values = value as number[] | bigint[];
      checkLength(name, values.length, field.length);
      return values.forEach((v, i) => writeInteger(view, field.element, name, v, at + i * field.element.size));
    }
    default:
      return field satisfies never;
  }
}

// The machines that Deno runs on are little-endian, so host order is little-endian order.
function readInteger(view: DataView, { kind, size }: Omit<IntegerLayout, "offset">, at: number): number | bigint {
  const little = kind !== "be";
  switch (size) {
    case 1:
      return kind === "int" ? view.getInt8(at) : view.getUint8(at);
    case 2:
      return kind === "int" ? view.getInt16(at, little) : view.getUint16(at, little);
    case 4:
      return kind === "int" ? view.getInt32(at, little) : view.getUint32(at, little);
    case 8:
      return kind === "int" ? view.getBigInt64(at, little) : view.getBigUint64(at, little);
    default:
      return size satisfies never;
  }
}

function writeInteger(
  view: DataView,
  { kind, size }: Omit<IntegerLayout, "offset">,
  name: string,
  value: number | bigint,
  at: number,
): void {
  // DataView would wrap a number that is too large, and a limit of 2^32 would silently become 0.
  const bits = BigInt(size * 8);
  const min = kind === "int" ? -(1n << (bits - 1n)) : 0n;
  const max = (1n << (kind === "int" ? bits - 1n : bits)) - 1n;
  if (typeof value === "number" && !Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot write field "${name}": ${value} is not an integer from ${min} to ${max}`);
  }
  const little = kind !== "be";
  switch (size) {
    case 1:
      return view.setUint8(at, Number(value));
    case 2:
      return view.setUint16(at, Number(value), little);
    case 4:
      return view.setUint32(at, Number(value), little);
    case 8:
      return view.setBigUint64(at, BigInt(value), little);
    default:
      return size satisfies never;
  }
}

function bytesOf(view: DataView, at: number, size: number): Uint8Array<ArrayBufferLike> {
  return new Uint8Array(view.buffer, view.byteOffset + at, size);
}

function checkLength(name: string, actual: number, expected: number): void {
  if (actual !== expected) {
    throw new RangeError(`Cannot write field "${name}": length is ${actual}, must be ${expected}`);
  }
}
