/** Certificates and keys that are read from files, and read again when the files change. */
import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";

/** Paths of PEM files. */
export interface TlsFiles {
  /** Certificates of the authorities that sign the other side's certificate. */
  ca?: string;
  cert?: string;
  key?: string;
}

export interface TlsMaterial {
  ca: Buffer | null;
  cert: Buffer | null;
  key: Buffer | null;
}

export class TlsSource {
  readonly #files: TlsFiles;
  #material: TlsMaterial;

  /** @throws when a file cannot be read, or does not hold what it should */
  constructor(files: TlsFiles) {
    if ((files.cert === undefined) !== (files.key === undefined)) {
      throw new Error("Cannot use a certificate: it needs a key, and a key needs a certificate");
    }
    this.#files = files;
    this.#material = this.#read();
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  /**
   * Reads the files again. What does not fit together, because it is just being replaced, leaves everything as it was.
   *
   * @returns whether there is anything new
   * @throws when the files cannot be used now
   */
  reload(): boolean {
    const read = this.#read();
    if (
      same(read.ca, this.#material.ca) && same(read.cert, this.#material.cert) && same(read.key, this.#material.key)
    ) {
      return false;
    }
    this.#material = read;
    return true;
  }

  #read(): TlsMaterial {
    const { ca, cert, key } = this.#files;
    const material = { ca: readPem(ca), cert: readPem(cert), key: readPem(key) };
    // What does not parse would only show as a handshake that fails.
    if (material.ca) parse(ca!, () => new X509Certificate(material.ca!));
    if (material.cert && material.key) {
      const certificate = parse(cert!, () => new X509Certificate(material.cert!));
      const privateKey = parse(key!, () => createPrivateKey(material.key!));
      if (!certificate.checkPrivateKey(privateKey)) throw new Error(`Cannot use ${cert}: ${key} is not its key`);
    }
    return material;
  }
}

function parse<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new Error(`Cannot use ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function readPem(path: string | undefined): Buffer | null {
  if (path === undefined) return null;
  const text = Deno.readTextFileSync(path);
  if (!text.includes("-----BEGIN ")) throw new Error(`Cannot use ${path}: it is not in PEM format`);
  return Buffer.from(text);
}

function same(a: Buffer | null, b: Buffer | null): boolean {
  return a === b || (a !== null && b !== null && a.equals(b));
}
