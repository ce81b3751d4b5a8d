/** Starts the installed ebpfmon. */
import { Cli, type CliResult } from "../../support/cli.ts";
import { TestNet } from "../../support/namespaces.ts";
import type { Guest } from "./subject.ts";

/** A pair of namespaces that goes with the subject. */
export async function testNet(guest: Guest): Promise<TestNet> {
  return guest.owned.use(await TestNet.create({ gso: false }));
}

/** Runs ebpfmon to its end in a network namespace of its own. */
export async function runToEnd(guest: Guest, args: string[], options: { prefix?: string[] } = {}): Promise<CliResult> {
  return await new Cli(await testNet(guest), args, options.prefix).result();
}
