/** The fleet's libraries work when they are bundled as ./ebpfmon is, with its permissions and no package in reach. */
import { PERMISSIONS } from "../tools/permissions.ts";
import { assertEquals } from "./assert.ts";
import { CertificateFolder } from "./support/fleet_certificates.ts";

const ROOT = decodeURIComponent(new URL("..", import.meta.url).pathname);

async function deno(cwd: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd, stdin: "null" }).output();
  const text = new TextDecoder();
  assertEquals(success, true, text.decode(stderr));
  return text.decode(stdout).trim();
}

Deno.test("Agent and server talk to each other over mutual TLS out of one bundle", async () => {
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const certificate = await folder.issue("ca", "agent-1");

  // What tools/bundle.ts looks at: main.ts, deno.json and node_modules of where it is run.
  const project = `${folder.path}/project`;
  await Deno.mkdir(project);
  await Deno.writeTextFile(`${project}/main.ts`, `import "${ROOT}tests/support/fleet_bundle_entry.ts";\n`);
  await Deno.copyFile(`${ROOT}deno.json`, `${project}/deno.json`);
  await Deno.symlink(`${ROOT}node_modules`, `${project}/node_modules`);
  await deno(project, [
    "run",
    "--quiet",
    "--config",
    `${ROOT}deno.json`,
    "--allow-all",
    `${ROOT}tools/bundle.ts`,
    "--no-workers",
  ]);

  const alone = `${folder.path}/alone`;
  await Deno.mkdir(alone);
  await Deno.copyFile(`${project}/build/app/main.js`, `${alone}/main.js`);
  const flags = ["--quiet", "--no-prompt", "--no-config", "--no-remote", "--no-npm", "--no-lock", ...PERMISSIONS];
  assertEquals(await deno(alone, ["run", ...flags, "main.js", JSON.stringify({ ca, ...certificate })]), "OK");
});
