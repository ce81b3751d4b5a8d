/** State as text: JSON, with maps, bigints and infinities written as objects of one tagged member. */

/** @returns JSON */
export function encodeState(state: unknown): string {
  return JSON.stringify(state, (_, value) => {
    if (value instanceof Map) return { $map: [...value] };
    if (typeof value === "bigint") return { $bigint: String(value) };
    if (value === Infinity || value === -Infinity) return { $number: String(value) };
    return value;
  });
}

/** @throws {SyntaxError} where it is not JSON */
export function decodeState(text: string): unknown {
  return JSON.parse(text, (_, value) => {
    if (typeof value !== "object" || value === null) return value;
    if ("$map" in value) return new Map(value.$map);
    if ("$bigint" in value) return BigInt(value.$bigint);
    if ("$number" in value) return Number(value.$number);
    return value;
  });
}
