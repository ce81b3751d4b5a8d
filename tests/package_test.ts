/**
 * Both ways of packing. What `deno compile` would embed is checked without its runtime part, which only a network can
 * give: any file serves as one for packing. The self-extracting file's launcher is tested with a shell script in the
 * place of Deno, so that a start costs nothing; the whole ./ebpfmon is run by the other tests.
 */
import { compileArguments, foreignApp, packPayload, type PayloadFile } from "../tools/pack.ts";
import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "./assert.ts";

const APP_DIR = new URL("../build/app", import.meta.url).pathname;
const LAUNCHER = new URL("../build/launcher", import.meta.url).pathname;

/** Neither root nor anybody who owns a file. */
const STRANGER = 65534;

const RUNTIME = `#!/bin/sh
echo "$*"
env | sort
grep CapEff /proc/self/status
umask
[ "$4" != fail ] || exit 42
[ "$4" != wait ] || read -r line
`;

interface Start {
  code: number;
  stdout: string;
  stderr: string;
}

async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<Start> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: { PATH: Deno.env.get("PATH")!, ...env },
    clearEnv: true,
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** A folder with a self-extracting file in it, and a home for the user who runs it. */
class Sandbox {
  readonly exe: string;
  readonly cache: string;

  private constructor(readonly dir: string) {
    this.exe = `${dir}/bin/ebpfmon`;
    this.cache = `${dir}/home/ebpfmon`;
  }

  static async create(parent?: string): Promise<Sandbox> {
    const sandbox = new Sandbox(await Deno.makeTempDir({ dir: parent, prefix: "ebpfmon_test_" }));
    await Deno.chmod(sandbox.dir, 0o755);
    await Deno.mkdir(`${sandbox.dir}/bin`);
    await Deno.mkdir(`${sandbox.dir}/home`);
    await Deno.chown(`${sandbox.dir}/home`, STRANGER, STRANGER);
    await sandbox.repack();
    return sandbox;
  }

  /** Makes the file anew, with other contents. */
  async repack(): Promise<void> {
    const encode = (text: string) => new TextEncoder().encode(text);
    const files: PayloadFile[] = [
      { path: "ebpfmon", mode: 0o100755, data: encode(RUNTIME) },
      { path: "flags", mode: 0o100644, data: encode("--quiet") },
      { path: "main.js", mode: 0o100644, data: encode("") },
      { path: "lib", mode: 0o040755, data: encode("") },
      { path: "lib/large", mode: 0o100644, data: crypto.getRandomValues(new Uint8Array(60_001)) },
    ];
    const launcher = await Deno.readFile(LAUNCHER);
    const offset = Math.ceil(launcher.length / 8) * 8;
    const file = new Blob([launcher, new Uint8Array(offset - launcher.length), ...packPayload(files, offset)]);
    // As make does: a program that is running cannot be written to.
    await Deno.writeFile(`${this.exe}.tmp`, file.stream(), { mode: 0o755 });
    await Deno.rename(`${this.exe}.tmp`, this.exe);
  }

  /** Starts the file as a stranger; `prepare` is shell code that runs before, as root, in its own mount namespace. */
  start(args: string[] = [], env: Record<string, string> = {}, prepare = "true"): Promise<Start> {
    const drop = `exec setpriv --reuid=${STRANGER} --regid=${STRANGER} --clear-groups "$0" "$@"`;
    return run("unshare", ["--mount", "sh", "-c", `${prepare} && ${drop}`, this.exe, ...args], {
      XDG_CACHE_HOME: `${this.dir}/home`,
      ...env,
    });
  }

  /** The one folder in the cache. */
  folder(): string {
    const folders = Array.from(Deno.readDirSync(this.cache)).filter(({ isDirectory }) => isDirectory);
    assertEquals(folders.length, 1);
    assertMatch(folders[0].name, /^[0-9a-f]{64}$/);
    return `${this.cache}/${folders[0].name}`;
  }

  async [Symbol.asyncDispose]() {
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test("a file for another architecture has the application, but that architecture's libraries and build info", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const write = async (path: string, text: string) => {
      await Deno.mkdir(`${dir}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
      await Deno.writeTextFile(`${dir}/${path}`, text);
    };
    await write("app/main.js", "program");
    await write("app/build_info.json", "of this machine");
    await write("app/bpf/flow.bpf.o", "object");
    await write("app/lib/libbpf.so.1", "x86");
    await write("app/lib/libonlyhere.so.1", "x86");
    await write("app/libs.js", "no library");
    await write("foreign/libbpf.so.1", "arm");
    const files = await foreignApp(`${dir}/app`, `${dir}/foreign`, "of arm64");
    const text = (data: Uint8Array) => new TextDecoder().decode(data);
    assertEquals(files.map(({ path, mode, data }) => [path, mode.toString(8), text(data)]), [
      ["bpf", "40755", ""],
      ["bpf/flow.bpf.o", "100644", "object"],
      ["libs.js", "100644", "no library"],
      ["main.js", "100644", "program"],
      ["build_info.json", "100644", "of arm64"],
      ["lib", "40755", ""],
      ["lib/libbpf.so.1", "100644", "arm"],
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("deno compile embeds the bundle, its workers, the BPF objects and the libraries", async () => {
  const files = [
    ...Array.from(Deno.readDirSync(APP_DIR), ({ name }) => name).filter((name) => name.endsWith(".js")),
    "build_info.json",
    "bpf/flow.bpf.o",
    "lib/libbpf.so.1",
  ];
  const dir = await Deno.makeTempDir();
  const output = `${dir}/ebpfmon`;
  try {
    const env = { DENORT_BIN: Deno.execPath(), HOME: Deno.env.get("HOME") ?? "/" };
    const { code, stderr } = await run(Deno.execPath(), compileArguments(output, APP_DIR, files), env);
    assertEquals(code, 0, stderr);
    const packed = await Deno.readFile(output);
    const embedded = packed.subarray((await Deno.stat(Deno.execPath())).size);
    const text = new TextDecoder("latin1").decode(embedded);
    for (const file of files) {
      assertStringIncludes(text, `"${file.split("/").at(-1)}"`);
      const content = await Deno.readFile(`${APP_DIR}/${file}`);
      assert(text.includes(new TextDecoder("latin1").decode(content)), `${file} is not embedded whole`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the bundle needs nothing but Deno", async () => {
  const modules = Array.from(Deno.readDirSync(APP_DIR), ({ name }) => name).filter((name) => name.endsWith(".js"));
  for (const file of modules) {
    const code = await Deno.readTextFile(`${APP_DIR}/${file}`);
    const imported = Array.from(
      code.matchAll(/^import\b[^"\n]*"([^"]+)";$|\bimport\("([^"]+)"\)/gm),
      (m) => m[1] ?? m[2],
    );
    const isThere = (specifier: string) =>
      specifier.startsWith("node:") || modules.some((name) => specifier === `./${name}`);
    assertEquals(imported.filter((specifier) => !isThere(specifier)), [], file);
  }
});

Deno.test("the launcher unpacks once, passes arguments, exit code and umask, and keeps Deno out of $HOME", async () => {
  await using sandbox = await Sandbox.create();
  const first = await sandbox.start(["fail", "two words"]);
  assertEquals(first.code, 42, first.stderr);
  const folder = sandbox.folder();
  const lines = first.stdout.split("\n");
  assertEquals(lines[0], `run --quiet ${folder}/main.js fail two words`);
  assert(lines.includes(`DENO_DIR=${folder}/deno_dir`));
  assert(lines.includes(`EBPFMON_EXE=${sandbox.exe}`));
  const made = (await Deno.stat(folder)).ino;

  const second = await sandbox.start([], {}, "umask 077");
  assertEquals(second.code, 0, second.stderr);
  assertStringIncludes(second.stdout, "\n0077\n");
  assertEquals((await Deno.stat(sandbox.folder())).ino, made);
});

Deno.test("several first starts at once all work", async () => {
  await using sandbox = await Sandbox.create();
  const starts = await Promise.all(Array.from({ length: 8 }, () => sandbox.start()));
  assertEquals(starts.map(({ code, stderr }) => ({ code, stderr })), Array(8).fill({ code: 0, stderr: "" }));
  sandbox.folder();
});

Deno.test("the launcher replaces files that are damaged, cut short, missing, linked or open to others", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.start();
  const large = `${sandbox.folder()}/lib/large`;
  const original = await Deno.readFile(large);
  const damages: Record<string, () => void> = {
    "one bit": () => {
      const damaged = original.slice();
      damaged[12_345] ^= 0x80;
      Deno.writeFileSync(large, damaged);
    },
    "the last byte": () => Deno.truncateSync(large, original.length - 1),
    "missing": () => Deno.removeSync(large),
    "a link": () => {
      Deno.renameSync(large, `${sandbox.dir}/elsewhere`);
      Deno.symlinkSync(`${sandbox.dir}/elsewhere`, large);
    },
    "mode": () => Deno.chmodSync(large, 0o666),
    "mode of its folder": () => Deno.chmodSync(`${sandbox.folder()}/lib`, 0o777),
    "left by an interrupted start": () => {
      Deno.renameSync(sandbox.folder(), `${sandbox.folder()}.tmp`);
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    damage();
    const { code, stderr } = await sandbox.start();
    assertEquals({ code, stderr }, { code: 0, stderr: "" }, name);
    const { mode } = await Deno.lstat(large);
    assertEquals(mode! & 0o177777, 0o100644, name);
    assertEquals(await Deno.readFile(large), original, name);
  }
});

Deno.test("unpacking removes other versions, but for those that run", async () => {
  await using sandbox = await Sandbox.create();
  const drop = ["--reuid", `${STRANGER}`, "--regid", `${STRANGER}`, "--clear-groups"];
  const running = new Deno.Command("setpriv", {
    args: [...drop, sandbox.exe, "wait"],
    env: { XDG_CACHE_HOME: `${sandbox.dir}/home` },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = running.stdout.getReader();
  await output.read();
  const old = sandbox.folder();

  await sandbox.repack();
  assertEquals((await sandbox.start()).code, 0);
  assertEquals(Array.from(Deno.readDirSync(sandbox.cache)).length, 3, "two versions and the lock");

  await running.stdin.close();
  await running.status;
  await output.cancel();
  await sandbox.repack();
  assertEquals((await sandbox.start()).code, 0);
  assertFalse(sandbox.folder() === old);
});

Deno.test("the launcher trusts no folder that others can write to", async () => {
  await using sandbox = await Sandbox.create();
  await Deno.chmod(`${sandbox.dir}/home`, 0o777);
  const { code, stdout, stderr } = await sandbox.start();
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertMatch(stderr, /^ebpfmon: Cannot unpack into .*: other users can write to it.*\(owner 65534, mode 0777\)\n$/);
});

Deno.test("the launcher trusts no folder of somebody else", async () => {
  await using sandbox = await Sandbox.create();
  await Deno.mkdir(sandbox.cache);
  await Deno.chown(sandbox.cache, 1234, 1234);
  const { code, stderr } = await sandbox.start();
  assertEquals(code, 1);
  assertMatch(stderr, /owner 1234/);
});

Deno.test("a full disk is one line, and leaves nothing behind", async () => {
  await using sandbox = await Sandbox.create();
  const home = `${sandbox.dir}/home`;
  const mount = `mount -t tmpfs -o size=32k,uid=${STRANGER},mode=755 tmpfs ${home}`;
  // The listing follows the start in the same mount namespace.
  const list = `trap 'ls ${sandbox.cache} >&2' EXIT`;
  const command = `${list}; ${mount}; setpriv --reuid=${STRANGER} --regid=${STRANGER} --clear-groups "$0"`;
  const { stderr } = await run("unshare", ["--mount", "sh", "-c", command, sandbox.exe], { XDG_CACHE_HOME: home });
  assertMatch(stderr, /^ebpfmon: Cannot unpack into \S+\/home\/ebpfmon: No space left on device; .*\nlock\n$/);
});

Deno.test("a read-only cache is one line", async () => {
  await using sandbox = await Sandbox.create();
  await Deno.mkdir(sandbox.cache);
  await Deno.chown(sandbox.cache, STRANGER, STRANGER);
  const { code, stderr } = await sandbox.start([], {}, `mount -t tmpfs -o ro tmpfs ${sandbox.dir}/home`);
  assertEquals(code, 1);
  assertMatch(stderr, /^ebpfmon: Cannot unpack into \S+\/home\/ebpfmon: .*\n$/);
});

Deno.test("a damaged or shortened file says so and unpacks nothing", async () => {
  await using sandbox = await Sandbox.create();
  const whole = await Deno.readFile(sandbox.exe);
  const damaged = whole.slice();
  damaged[whole.length - 1000] ^= 1;
  await Deno.writeFile(sandbox.exe, damaged);
  assertStringIncludes((await sandbox.start()).stderr, "its own file is damaged");
  assertEquals(Array.from(Deno.readDirSync(sandbox.cache), ({ name }) => name), ["lock"]);

  await Deno.writeFile(sandbox.exe, whole.subarray(0, whole.length - 1000));
  assertStringIncludes((await sandbox.start()).stderr, "the file is cut short");
});

Deno.test("with file capabilities the launcher runs only what root installed, and passes no LD_PRELOAD", async () => {
  // Not below /tmp: where everybody can write, nothing counts as installed.
  await using sandbox = await Sandbox.create("/var/lib");
  const setcap = await run("setcap", ["cap_net_admin,cap_perfmon+ep", sandbox.exe]);
  assertEquals(setcap.code, 0, setcap.stderr);

  const before = await sandbox.start();
  assertEquals(before.code, 1);
  assertMatch(before.stderr, /^ebpfmon: Cannot find its files in .*: run `make install` again\n$/);
  assertEquals(Array.from(Deno.readDirSync(`${sandbox.dir}/home`)), [], "the user's own cache is not used");

  await Deno.mkdir(`${sandbox.dir}/lib/ebpfmon`, { recursive: true });
  const unpacked = await run(sandbox.exe, [], { EBPFMON_UNPACK: `${sandbox.dir}/lib/ebpfmon` });
  assertEquals(unpacked.code, 0, unpacked.stderr);
  const folder = unpacked.stdout.trim();

  const env = { LD_PRELOAD: "/tmp/evil.so", NODE_OPTIONS: "--require=/tmp/evil.js", TERM: "xterm" };
  const { code, stdout, stderr } = await sandbox.start(["monitor"], env);
  assertEquals(code, 0, stderr);
  const lines = stdout.split("\n");
  assertEquals(lines[0], `run --quiet --no-remote --no-npm ${folder}/main.js monitor`);
  assertMatch(stdout, /^CapEff:\t0000004000001000$/m, "12 is NET_ADMIN, 38 is PERFMON");
  assert(lines.includes("TERM=xterm"));
  assertFalse(/^(LD_PRELOAD|NODE_OPTIONS|XDG_CACHE_HOME)=/m.test(stdout));

  await Deno.chown(folder, STRANGER, STRANGER);
  assertEquals((await sandbox.start()).code, 1, "what somebody else owns is not installed");
});
