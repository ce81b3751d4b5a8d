import { assert, assertEquals, assertStringIncludes, assertThrows } from "../../tests/assert.ts";
import { CertificateFolder } from "../../tests/support/fleet_certificates.ts";
import { TlsSource } from "./tls.ts";

Deno.test("TlsSource reads what has changed, and keeps what it has while files do not fit together", async () => {
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const first = await folder.issue("ca", "one");
  const second = await folder.issue("ca", "two");
  const source = new TlsSource({ ca, ...first });
  const before = source.material;
  assertEquals(source.reload(), false);

  await Deno.copyFile(second.cert, first.cert);
  assertStringIncludes(assertThrowsError(() => source.reload()), `${first.key} is not its key`);
  assert(source.material === before);
  await Deno.copyFile(second.key, first.key);
  assertEquals(source.reload(), true);
  assert(!source.material.cert!.equals(before.cert!));

  await Deno.writeTextFile(first.cert, "nonsense");
  assertStringIncludes(assertThrowsError(() => source.reload()), "not in PEM format");
  await Deno.writeTextFile(first.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  assertStringIncludes(assertThrowsError(() => source.reload()), `Cannot use ${first.cert}`);
});

Deno.test("TlsSource wants a key with a certificate, and no secret is in what it says", async () => {
  await using folder = await CertificateFolder.create();
  await folder.authority("ca");
  const { cert, key } = await folder.issue("ca", "one");
  assertThrows(() => new TlsSource({ cert }), Error, "needs a key");
  assertThrows(() => new TlsSource({ key }), Error, "needs a certificate");
  const body = (await Deno.readTextFile(key)).split("\n")[1];
  await Deno.writeTextFile(key, (await Deno.readTextFile(key)).replace(body, body.toLowerCase()));
  assert(!assertThrowsError(() => new TlsSource({ cert, key })).toLowerCase().includes(body.toLowerCase()));
});

function assertThrowsError(run: () => unknown): string {
  return (assertThrows(run, Error) as unknown as Error).message;
}
