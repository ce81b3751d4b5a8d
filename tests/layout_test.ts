import { assertEquals, assertNotEquals, assertThrows } from "./assert.ts";
import { type BtfObject, generateLayouts, readObjects } from "../tools/layouts.ts";

const COMMITTED = new URL("../lib/wire/layouts.gen.ts", import.meta.url);
const OBJECTS_DIR = new URL("../build/bpf", import.meta.url).pathname;

/** The built objects with one change to a type. */
async function mutatedObjects(object: string, change: (types: BtfObject["types"]) => void): Promise<BtfObject[]> {
  const objects = structuredClone(await readObjects(OBJECTS_DIR));
  change(objects.find(({ name }) => name === object)!.types);
  return objects;
}

function structNamed(types: BtfObject["types"], name: string) {
  return types.find((type) => type.kind === "STRUCT" && type.name === name)!;
}

Deno.test("lib/wire/layouts.gen.ts agrees with the BTF of the built objects", async () => {
  assertEquals(generateLayouts(await readObjects(OBJECTS_DIR)), await Deno.readTextFile(COMMITTED));
});

Deno.test("a field that moved is seen as drift", async () => {
  const objects = await mutatedObjects("layout_check", (types) => {
    structNamed(types, "flow_value").members!.find(({ name }) => name === "bytes")!.bits_offset += 64;
  });
  assertNotEquals(generateLayouts(objects), await Deno.readTextFile(COMMITTED));
});

Deno.test("a variable that moved in its section is seen as drift", async () => {
  const objects = await mutatedObjects("flow", (types) => {
    types.find(({ kind, name }) => kind === "DATASEC" && name === ".rodata")!.vars![1].offset += 4;
  });
  assertNotEquals(generateLayouts(objects), await Deno.readTextFile(COMMITTED));
});

Deno.test("generateLayouts() refuses bit-fields and unions", async () => {
  const withBitField = await mutatedObjects("layout_check", (types) => {
    structNamed(types, "flow4_key").members![0].bitfield_size = 3;
  });
  assertThrows(() => generateLayouts(withBitField), Error, '"src" of flow4_key: it is a bit-field');

  const withUnion = await mutatedObjects("layout_check", (types) => {
    structNamed(types, "flow4_key").kind = "UNION";
  });
  assertThrows(() => generateLayouts(withUnion), Error, '"flow4_key"');
});
