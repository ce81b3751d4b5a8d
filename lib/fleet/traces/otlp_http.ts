/** The connection that traces are sent over, with the certificates that the settings name. */
import type { OtlpSettings } from "./otlp_settings.ts";

export interface OtlpHttp extends Disposable {
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** @throws {Error} where a certificate or key cannot be read or used: names the file */
export async function openOtlpHttp(settings: OtlpSettings): Promise<OtlpHttp> {
  const { certificatePath, clientCertificatePath, clientKeyPath } = settings;
  const caCert = certificatePath && await readPem(certificatePath);
  const cert = clientCertificatePath && await readPem(clientCertificatePath);
  const key = clientKeyPath && await readPem(clientKeyPath);
  const client = createClient({ ...caCert && { caCerts: [caCert] }, ...cert && key && { cert, key } });
  return {
    fetch: (url, init) => fetch(url, { ...init, client }),
    [Symbol.dispose]: () => client.close(),
  };
}

async function readPem(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new Error(`Cannot read ${path} for the export of traces: ${(error as Error).message}`, { cause: error });
  }
}

function createClient(
  options: Deno.CreateHttpClientOptions | (Deno.CreateHttpClientOptions & Deno.TlsCertifiedKeyPem),
): Deno.HttpClient {
  try {
    return Deno.createHttpClient(options);
  } catch (error) {
    throw new Error(`Cannot use the certificates for the export of traces: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
