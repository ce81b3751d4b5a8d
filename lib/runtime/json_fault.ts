/** The first mistake in a text that should be JSON, and its offset. */

const UNEXPECTED_TOKEN = "Unexpected token";

export interface JsonFault {
  offset: number;
  message: string;
}

/** @returns the first mistake; null where the text is JSON */
export function jsonFault(text: string): JsonFault | null {
  const error = parseError(text);
  if (error === null) return null;
  const message = error.message.replace(/( in JSON at position|, "|, \.\.\.").*/s, "");
  return { offset: offsetOf(text, error), message };
}

function parseError(text: string): SyntaxError | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error as SyntaxError;
  }
}

/** The offset of a mistake. The message of JSON.parse tells the position, an unexpected token or an unexpected end. */
function offsetOf(text: string, error: SyntaxError): number {
  const said = /at position (\d+)/.exec(error.message)?.[1];
  if (said !== undefined) return Number(said);
  // The parser stops at its first error: the shortest text that still has it ends with the unexpected token.
  let [good, bad] = [0, text.length];
  while (error.message.startsWith(UNEXPECTED_TOKEN) && good < bad) {
    const middle = (good + bad) >> 1;
    if (parseError(text.slice(0, middle + 1))?.message.startsWith(UNEXPECTED_TOKEN)) bad = middle;
    else good = middle + 1;
  }
  return bad;
}
