/** Traces over TLS: to whom the certificate that the settings name vouches for, and to nobody else. */
import { openOtlpHttp } from "../lib/fleet/traces/otlp_http.ts";
import { otlpSettings } from "../lib/fleet/traces/otlp_settings.ts";
import { assert, assertEquals, assertRejects } from "./assert.ts";
import { OtlpReceiver } from "./support/otlp_receiver.ts";

/** A certificate that vouches for itself at 127.0.0.1, and its key. */
async function makeCertificate(folder: string): Promise<{ certPath: string; cert: string; key: string }> {
  const [certPath, keyPath] = [`${folder}/cert.pem`, `${folder}/key.pem`];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "1",
      "-subj",
      "/CN=receiver",
      "-addext",
      "basicConstraints=critical,CA:FALSE",
      "-addext",
      "subjectAltName=IP:127.0.0.1",
      "-keyout",
      keyPath,
      "-out",
      certPath,
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return { certPath, cert: await Deno.readTextFile(certPath), key: await Deno.readTextFile(keyPath) };
}

async function post(env: Record<string, string>): Promise<number> {
  const settings = otlpSettings(env)!;
  using http = await openOtlpHttp(settings);
  const response = await http.fetch(settings.url, { method: "POST", body: new Uint8Array() });
  await response.body?.cancel();
  return response.status;
}

Deno.test("openOtlpHttp() trusts the certificate that is named, and no other", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { certPath, cert, key } = await makeCertificate(folder);
    await using receiver = new OtlpReceiver(0, { cert, key });
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
    assertEquals(await post({ ...endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE: certPath }), 200);
    await assertRejects(() => post(endpoint), TypeError);
    assertEquals(receiver.requests.length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openOtlpHttp() names the file that it cannot use", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const url = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://127.0.0.1:1" };
    const open = (path: string) => openOtlpHttp(otlpSettings({ ...url, OTEL_EXPORTER_OTLP_CERTIFICATE: path })!);
    await assertRejects(() => open(`${folder}/none.pem`), Error, `Cannot read ${folder}/none.pem`);
    await Deno.writeTextFile(`${folder}/bad.pem`, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    await assertRejects(() => open(`${folder}/bad.pem`), Error, "Cannot use the certificates");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
