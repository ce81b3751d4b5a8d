import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { ENOMEM, PrivilegeError, SystemError, UnsupportedError } from "../runtime/errors.ts";
import { loadVariants, type ProgramJob } from "./program_variants.ts";

type Name = "send_new" | "send_old" | "receive" | "scan";
const JOBS: ProgramJob<Name>[] = [
  { job: "send", variants: [["send_new"], ["send_old", "scan"]] },
  { job: "receive", variants: [["receive"]] },
];

/** A kernel that refuses some programs; keeps what was loaded, and what is still. */
class Kernel {
  readonly loads: string[] = [];
  open = 0;
  readonly #refused: readonly Name[];

  constructor(refused: readonly Name[]) {
    this.#refused = refused;
  }

  load = (programs: Name[]): Disposable => {
    this.loads.push(programs.join());
    const refused = programs.find((name) => this.#refused.includes(name));
    if (refused !== undefined) throw new UnsupportedError(`Cannot load ${refused}`);
    this.open++;
    return { [Symbol.dispose]: () => this.open-- };
  };
}

Deno.test("loadVariants() loads the best variants at once where the kernel takes them", () => {
  const kernel = new Kernel([]);
  const { programs, undone } = loadVariants(JOBS, kernel.load);
  assertEquals(programs, ["send_new", "receive"]);
  assertEquals(undone, []);
  assertEquals(kernel.loads, ["send_new,receive"]);
});

Deno.test("loadVariants() takes the next variant of a job alone, and leaves nothing else loaded", () => {
  const kernel = new Kernel(["send_new"]);
  const { programs, variantOf, undone } = loadVariants(JOBS, kernel.load);
  assertEquals(programs, ["send_old", "scan", "receive"]);
  assertEquals(variantOf.get("send"), ["send_old", "scan"]);
  assertEquals(undone, []);
  assertEquals(kernel.open, 1);
});

Deno.test("loadVariants() names the job that nothing can do, and does the others", () => {
  const kernel = new Kernel(["send_new", "scan"]);
  const { programs, undone } = loadVariants(JOBS, kernel.load);
  assertEquals(programs, ["receive"]);
  assertEquals(undone.map(({ job, error }) => [job, error.message]), [["send", "Cannot load scan"]]);
});

Deno.test("loadVariants() fails where no job can be done", () => {
  const kernel = new Kernel(["send_new", "send_old", "receive"]);
  assertThrows(() => loadVariants(JOBS, kernel.load), UnsupportedError, "Cannot load send_old");
  assertEquals(kernel.open, 0);
});

Deno.test("loadVariants() gives up at once without privileges", () => {
  let loads = 0;
  const refuse = () => {
    loads++;
    throw new PrivilegeError("Cannot load");
  };
  assertThrows(() => loadVariants(JOBS, refuse), PrivilegeError);
  assertEquals(loads, 1);
});

Deno.test("loadVariants() is not content with less for want of memory", () => {
  let loads = 0;
  const starve = () => {
    loads++;
    throw new UnsupportedError("Cannot load", { cause: new SystemError("load", ENOMEM) });
  };
  assertThrows(() => loadVariants(JOBS, starve), UnsupportedError, "Cannot load");
  assertEquals(loads, 1);
});
