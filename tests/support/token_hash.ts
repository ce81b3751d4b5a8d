/** Lines of token files. */
import { createHash } from "node:crypto";

/** The hash that a token file has for a token: 64 hexadecimal digits. */
export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
