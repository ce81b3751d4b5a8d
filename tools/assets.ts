/** Puts what the bundle reads at run time beside it in build/app: the BPF objects and this machine's libbpf. */
import { copyLibraries, systemLibraries } from "./libraries.ts";

const APP_DIR = "build/app";
const OBJECTS_DIR = "build/bpf";
/** Never loaded: it is there for its BTF. */
const LAYOUT_OBJECT = "layout_check.bpf.o";

await Deno.remove(`${APP_DIR}/bpf`, { recursive: true }).catch(() => {});
await Deno.mkdir(`${APP_DIR}/bpf`, { recursive: true });
for await (const { name } of Deno.readDir(OBJECTS_DIR)) {
  const packed = name.endsWith(".bpf.o") && name !== LAYOUT_OBJECT;
  if (packed) await Deno.copyFile(`${OBJECTS_DIR}/${name}`, `${APP_DIR}/bpf/${name}`);
}
await copyLibraries(await systemLibraries(), `${APP_DIR}/lib`);
