/** Flags that both sides of a fleet have: addresses and TLS. */
import { parseServerAddress, type ServerAddress } from "../../fleet/server_address.ts";
import type { TlsFiles } from "../../fleet/tls.ts";
import { fileFlag, type FlagValues } from "./kinds.ts";
import type { UsageContext } from "./usage.ts";

export const TLS_FLAGS = {
  ca: fileFlag("tls-ca", "PEM file of the authority that signs the other side's certificate"),
  cert: fileFlag("tls-cert", "PEM file of our own certificate; read again when it changes"),
  key: fileFlag("tls-key", "PEM file of its key"),
};

/** @returns undefined where one of the addresses is none */
export function parseServerAddresses(text: string): ServerAddress[] | undefined {
  try {
    return text.split(",").map(parseServerAddress);
  } catch {
    return undefined;
  }
}

/** @param prefix of the flags' names @returns null where no file is given @throws {UsageError} */
export function tlsFiles(
  { ca, cert, key }: FlagValues<typeof TLS_FLAGS>,
  { wrong }: UsageContext,
  prefix = "",
): TlsFiles | null {
  if ((cert === null) !== (key === null)) throw wrong(`--${prefix}tls-cert and --${prefix}tls-key need each other`);
  if (ca === null && cert === null) return null;
  return { ...ca !== null && { ca }, ...cert !== null && key !== null && { cert, key } };
}
