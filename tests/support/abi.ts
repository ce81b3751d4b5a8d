/** Asks the compiler about the binary interface of a machine, this one's or another. */
import type { Machine } from "../../lib/wire/syscalls.ts";

export const MACHINES: readonly Machine[] = ["x86_64", "aarch64"];

/** Where Debian keeps the kernel headers that it has for each architecture; BPF programs are built with them too. */
const HEADERS = `/usr/include/${Deno.build.arch}-linux-gnu`;

/** This machine's header takes every other one for one of 32 bits: it is left out, and what it would say is said here. */
const WORD_SIZE = ["-D__ASM_X86_BITSPERLONG_H", "-D__ASM_BITSPERLONG_H", "-D__BITS_PER_LONG=64"];

/**
 * Compiles C for a machine. The headers below linux/ and asm-generic/ may be included: they tell machines apart by what
 * the compiler defines. libc's may not.
 *
 * @param args what to make of it, e.g. `-fsyntax-only`
 * @returns standard output
 * @throws {Error} with the compiler's first error
 */
export async function compileFor(machine: Machine, source: string, ...args: string[]): Promise<string> {
  const child = new Deno.Command("clang", {
    args: [
      `--target=${machine}-linux-gnu`,
      "-idirafter",
      HEADERS,
      ...WORD_SIZE,
      "-O1",
      ...args,
      "-x",
      "c",
      "-",
      "-o",
      "-",
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(`Cannot compile for ${machine}: ${new TextDecoder().decode(stderr).split("\n")[0]}`);
  return new TextDecoder().decode(stdout);
}

/** Macros that are defined after these lines, by name. */
export async function macrosFor(machine: Machine, source: string): Promise<Map<string, string>> {
  const text = await compileFor(machine, source, "-E", "-dM");
  return new Map(Array.from(text.matchAll(/^#define (\w+) (.*)$/gm), ([, name, value]) => [name, value]));
}
