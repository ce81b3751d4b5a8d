/** The TLS credentials of a gRPC server. */
import * as grpc from "@grpc/grpc-js";
import type { TlsMaterial } from "../tls.ts";

/** Credentials whose certificates can change while the server listens. Open connections keep theirs. */
export class ReloadableCredentials extends grpc.ServerCredentials {
  constructor(material: TlsMaterial, mutual: boolean) {
    super({ requestCert: mutual, rejectUnauthorized: mutual }, contextOf(material));
  }

  update(material: TlsMaterial): void {
    this.updateSecureContextOptions(contextOf(material));
  }

  override _equals(other: grpc.ServerCredentials): boolean {
    return this === other;
  }
}

/**
 * The options of a TLS context. Deno 2.9.3 serves plaintext where `ca` is undefined, so it is always set; without
 * mutual TLS it has no effect.
 */
function contextOf({ ca, cert, key }: TlsMaterial) {
  return { ca: ca ?? cert ?? undefined, cert: cert ?? undefined, key: key ?? undefined };
}
