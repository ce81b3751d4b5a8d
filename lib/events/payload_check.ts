/** Whether a payload is one of its type. */
import { DESCRIPTIONS_BY_NUMBER } from "./types/mod.ts";

// By `enum event_type`. Sizes apart from functions: of types that no function checks, none is called.
const STRUCT_BYTES = Uint16Array.from(DESCRIPTIONS_BY_NUMBER, ({ structBytes }) => structBytes);
const HAS_TEXT = Uint8Array.from(DESCRIPTIONS_BY_NUMBER, ({ hasText }) => hasText ? 1 : 0);
const CHECKS = DESCRIPTIONS_BY_NUMBER.map(({ isSound }) => isSound);

/** @param type of `enum event_type` @param start of the payload, which has `lengthBytes` */
export function isSoundPayload(
  type: number,
  data: DataView<ArrayBuffer>,
  start: number,
  lengthBytes: number,
): boolean {
  const structBytes = STRUCT_BYTES[type];
  if (lengthBytes !== structBytes && (lengthBytes < structBytes || HAS_TEXT[type] === 0)) return false;
  const check = CHECKS[type];
  return check === undefined || check(data, start, lengthBytes);
}
