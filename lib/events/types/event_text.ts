/** Text that several types of events share in their lines. */
import { escapeControls } from "../../runtime/text.ts";

/** A text as one word: bare where that is unmistakable, else in quotes with its backslashes and quotes escaped. */
export function word(text: string): string {
  const escaped = escapeControls(text.replace(/["\\]/g, "\\$&"));
  return escaped === text && /^[^\s[\]:]+$/.test(text) ? text : `"${escaped}"`;
}

/** `192.0.2.1:443`, `[2001:db8::1]:443`, or the path of a Unix socket as a word. */
export function endpoint(family: "ipv4" | "ipv6" | "unix", address: string, port: number): string {
  if (family === "unix") return word(address);
  return family === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
}
