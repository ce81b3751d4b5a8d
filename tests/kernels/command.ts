/** Runs other programs to their end. */

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
}

/** @returns standard output @throws with the last lines of standard error when the program fails */
export async function output(program: string, args: string[], options: CommandOptions = {}): Promise<string> {
  const command = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped", ...options });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  if (success) return text.decode(stdout);
  const said = text.decode(stderr).trim().split("\n").slice(-3).join(" | ");
  throw new Error(`Cannot run ${program} ${args.join(" ")}: ${said}`);
}

export async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/**
 * Makes `path` by `make`, which gets a name beside it. What an interrupted run left is no finished file, so the name is
 * given at the end.
 */
export async function makeOnce(path: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  if (await exists(path)) return;
  const unfinished = `${path}.unfinished`;
  await Deno.remove(unfinished, { recursive: true }).catch(() => {});
  await make(unfinished);
  await Deno.rename(unfinished, path);
}
