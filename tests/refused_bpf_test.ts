/** ./ebpfmon where the kernel refuses the bpf system call as a whole: one line that says why, and the right exit code. */
import { assertEquals, assertMatch } from "./assert.ts";

const ENOSYS = 38, EPERM = 1;

const COMMANDS = [
  ["monitor", "lo", "--duration", "2", "--listen", "off"],
  ["measure", "1", "lo"],
  ["events", "--duration", "2", "--listen", "off"],
  ["top", "--duration", "2"],
  ["agent", "lo", "--server", "127.0.0.1:1", "--duration", "2", "--listen", "off"],
];

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

class DenyBpf implements AsyncDisposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async make(): Promise<DenyBpf> {
    const dir = await Deno.makeTempDir({ prefix: "ebpfmon-deny-" });
    const source = decodeURIComponent(new URL("support/deny_bpf.c", import.meta.url).pathname);
    const { success, stderr } = await new Deno.Command("clang", { args: ["-O1", source, "-o", `${dir}/deny_bpf`] })
      .output();
    if (!success) throw new Error(`Cannot compile ${source}: ${new TextDecoder().decode(stderr)}`);
    return new DenyBpf(dir);
  }

  /** Runs ./ebpfmon in a network namespace of its own, so that a program that attaches all the same harms nobody. */
  async run(errno: number, ...args: string[]): Promise<Ended> {
    const command = ["--net", `${this.#dir}/deny_bpf`, String(errno), "./ebpfmon", ...args];
    const { code, stdout, stderr } = await new Deno.Command("unshare", { args: command, stdin: "null" }).output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#dir, { recursive: true });
  }
}

Deno.test("a kernel without the bpf system call is named in one line, with exit code 4", async () => {
  await using denied = await DenyBpf.make();
  for (const command of COMMANDS) {
    const { code, stderr } = await denied.run(ENOSYS, ...command, "--json");
    assertEquals(code, 4, `${command[0]}: ${stderr}`);
    assertMatch(stderr, /^ebpfmon: [^\n]*built without the bpf system call \(CONFIG_BPF_SYSCALL\)[^\n]*\n$/);
  }
});

Deno.test("a security policy that forbids bpf is not taken for a missing privilege", async () => {
  await using denied = await DenyBpf.make();
  for (const command of COMMANDS) {
    const { code, stderr } = await denied.run(EPERM, ...command, "--json");
    assertEquals(code, 4, `${command[0]}: ${stderr}`);
    assertMatch(stderr, /^ebpfmon: [^\n]*a seccomp filter, lockdown or another security policy forbids it\n$/);
  }
});

Deno.test("doctor says that nothing works where bpf is refused, and why", async () => {
  await using denied = await DenyBpf.make();
  const { code, stdout, stderr } = await denied.run(ENOSYS, "doctor");
  assertEquals(code, 4, stderr);
  assertMatch(stdout, /\nBROKEN\s+monitor\s/);
  assertMatch(stdout, /MISSING\s+flows in\s+[^\n]*CONFIG_BPF_SYSCALL/);
  assertMatch(stdout, /\nebpfmon does not work here\.\n$/);
});
