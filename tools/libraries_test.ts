import { assertEquals, assertRejects } from "../tests/assert.ts";
import { compileFor, MACHINES } from "../tests/support/abi.ts";
import { copyLibraries, packagedLibraries } from "./libraries.ts";

const TRIPLET = "usr/lib/aarch64-linux-gnu";

/** Packages as tools/unpack_packages leaves them: libbpf needs libelf, both need libz, and all need glibc. */
async function unpackedPackages(dir: string): Promise<void> {
  const libraries: [string, string, string[]][] = [
    ["libbpf1", "libbpf.so.1.1.2", ["libelf.so.1", "libz.so.1", "libc.so.6"]],
    ["libelf1", "libelf.so.1", ["libz.so.1", "libc.so.6", "ld-linux-aarch64.so.1"]],
    ["zlib1g", "libz.so.1", ["libc.so.6"]],
    ["libc6", "libc.so.6", []],
  ];
  for (const [name, file, needed] of libraries) {
    await Deno.mkdir(`${dir}/${name}/${TRIPLET}`, { recursive: true });
    await Deno.writeFile(`${dir}/${name}/${TRIPLET}/${file}`, await sharedObject(file, needed));
    await Deno.mkdir(`${dir}/${name}/usr/share/doc/${name}`, { recursive: true });
    await Deno.writeTextFile(`${dir}/${name}/usr/share/doc/${name}/copyright`, `of ${name}`);
  }
  await Deno.symlink("libbpf.so.1.1.2", `${dir}/libbpf1/${TRIPLET}/libbpf.so.1`);
}

/** An ELF shared object without contents that names others as needed. */
async function sharedObject(soname: string, needed: string[]): Promise<Uint8Array<ArrayBuffer>> {
  const dir = await Deno.makeTempDir();
  try {
    const link = async (name: string, ...args: string[]) => {
      const options = ["-shared", "-nostdlib", `-Wl,-soname,${name}`, "-x", "c", "/dev/null", "-x", "none", ...args];
      const { success } = await new Deno.Command("clang", { args: [...options, "-o", `${dir}/${name}`] }).output();
      assertEquals(success, true, name);
      return `${dir}/${name}`;
    };
    const others: string[] = [];
    for (const name of needed) others.push(await link(name));
    return await Deno.readFile(await link(soname, "-Wl,--no-as-needed", ...others));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("copyLibraries() takes libbpf and what it needs, each after its own needs, with licences, without glibc", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await unpackedPackages(`${dir}/packages`);
    await Deno.mkdir(`${dir}/lib`);
    await Deno.writeTextFile(`${dir}/lib/left over`, "");
    await copyLibraries(await packagedLibraries(`${dir}/packages`), `${dir}/lib`);
    assertEquals(JSON.parse(await Deno.readTextFile(`${dir}/lib/libraries.json`)), {
      libbpf: "1.1.2",
      order: ["libz.so.1", "libelf.so.1", "libbpf.so.1"],
    });
    assertEquals(Array.from(Deno.readDirSync(`${dir}/lib`), ({ name }) => name).sort(), [
      "libbpf.so.1",
      "libbpf1.copyright",
      "libelf.so.1",
      "libelf1.copyright",
      "libraries.json",
      "libz.so.1",
      "zlib1g.copyright",
    ]);
    assertEquals(await Deno.readTextFile(`${dir}/lib/zlib1g.copyright`), "of zlib1g");
    await Deno.remove(`${dir}/packages/zlib1g`, { recursive: true });
    await assertRejects(
      async () => await copyLibraries(await packagedLibraries(`${dir}/packages`), `${dir}/lib`),
      Error,
      `Cannot find libz.so.1: remove ${dir}/packages and build again`,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the launcher's table of files has one layout on both machines", async () => {
  const launcher = await Deno.readTextFile(new URL("launcher.c", import.meta.url));
  const structs = Array.from(launcher.matchAll(/^struct (?:file|trailer) \{.*?^\};/gms), ([text]) => text);
  assertEquals(structs.length, 2);
  for (const machine of MACHINES) {
    await compileFor(
      machine,
      `typedef __UINT8_TYPE__ uint8_t; typedef __UINT32_TYPE__ uint32_t; typedef __UINT64_TYPE__ uint64_t;
       #define HASH_BYTES 32
       ${structs.join("\n")}
       _Static_assert(sizeof(struct file) == 128 && sizeof(struct trailer) == 56, "size");
       _Static_assert(__builtin_offsetof(struct file, mode) == 124, "offset of mode");`,
      "-fsyntax-only",
    );
  }
});
