/** Programs that do what a test wants to see: tests/support/router_actor.c and syscall_actor.c. */

export interface Actor {
  path: string;
}

export interface ActorRun {
  pid: number;
  /** The numbers that it printed: what the kernel answered. */
  results: number[];
  code: number;
  signal: string | null;
}

/** Runs an action to its end; one that waits for a byte gets it. */
export async function runActor({ path }: Actor, args: string[]): Promise<ActorRun> {
  const child = new Deno.Command(path, { args, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const writer = child.stdin.getWriter();
  // Most actions end without reading it.
  await writer.write(new Uint8Array(1)).catch(() => {});
  await writer.close().catch(() => {});
  const { stdout, code, signal } = await child.output();
  const results = new TextDecoder().decode(stdout).trim().split(/\s+/).filter((word) => word !== "").map(Number);
  return { pid: child.pid, results, code, signal };
}
