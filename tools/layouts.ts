/**
 * Writes lib/wire/layouts.gen.ts from the BTF of the built BPF objects, so that TypeScript never states an offset of its
 * own. From layout_check.bpf.o it takes every struct and enum that has a global there, and the structs of every union
 * that has one; from every other object it takes the variables of its data sections. Run by `make layouts`, after
 * `bpftool gen object`: before it, the offsets in a data section are all zero. Whatever it cannot describe exactly
 * (bit-fields, unions within structs, pointers) it refuses.
 */
import type { ArrayLayout, FieldLayout, IntegerLayout, StructLayout } from "../lib/wire/layout.ts";

/** The object whose globals name the shared types; it is never loaded. */
const TYPES_OBJECT = "layout_check";
const OBJECTS_DIR = "build/bpf";
const OUTPUT = "lib/wire/layouts.gen.ts";

/** One type, as `bpftool -j btf dump` has it; which members are there depends on `kind`. */
export interface BtfType {
  id: number;
  kind: string;
  name: string;
  size?: number;
  type_id?: number;
  nr_elems?: number;
  encoding?: string;
  linkage?: string;
  members?: { name: string; type_id: number; bits_offset: number; bitfield_size?: number }[];
  values?: { name: string; val: number }[];
  vars?: { type_id: number; offset: number; size: number }[];
}

/** The BTF of one object; `name` is `flow` for flow.bpf.o. */
export interface BtfObject {
  name: string;
  types: BtfType[];
}

/** The types of one object by id. */
class Btf {
  readonly #byId: Map<number, BtfType>;

  constructor(readonly object: BtfObject) {
    this.#byId = new Map(object.types.map((type) => [type.id, type]));
  }

  get(id: number | undefined): BtfType {
    const type = this.#byId.get(id ?? 0);
    if (!type) throw new Error(`Cannot read BTF of "${this.object.name}": there is no type ${id}`);
    return type;
  }

  /** The type itself, and whether a typedef such as `__be32` on the way to it says network byte order. */
  resolve(id: number | undefined): { type: BtfType; bigEndian: boolean } {
    let type = this.get(id);
    let bigEndian = false;
    while (["TYPEDEF", "CONST", "VOLATILE", "TYPE_TAG"].includes(type.kind)) {
      bigEndian ||= /^__be(16|32|64)$/.test(type.name);
      type = this.get(type.type_id);
    }
    return { type, bigEndian };
  }

  variables(section: BtfType): { name: string; type_id: number; offset: number }[] {
    return section.vars!
      .map((entry) => ({ variable: this.get(entry.type_id), offset: entry.offset }))
      // Static ones are the compiler's own or a function's: a format string, for instance.
      .filter(({ variable }) => variable.linkage?.startsWith("global"))
      .map(({ variable, offset }) => ({ name: variable.name, type_id: variable.type_id!, offset }));
  }
}

/** @returns the text of lib/wire/layouts.gen.ts, the same for the same types */
export function generateLayouts(objects: BtfObject[]): string {
  const declarations: [string, string][] = [];
  for (const object of objects.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
    const btf = new Btf(object);
    const sections = object.types.filter((type) => type.kind === "DATASEC");
    if (object.name === TYPES_OBJECT) {
      for (const { type_id } of sections.flatMap((section) => btf.variables(section))) {
        for (const type of namedTypes(btf, type_id)) {
          declarations.push([constantName(type.name), renderType(btf, type)]);
        }
      }
    } else {
      for (const section of sections.filter(({ name }) => /^\.(rodata|data|bss)(\.|$)/.test(name))) {
        const fields = btf.variables(section).map((v) => fieldsOf(btf, v.name, v.type_id, v.offset)).flat();
        if (fields.length === 0) continue;
        const layout = { size: section.size!, fields: Object.fromEntries(fields) };
        declarations.push([constantName(`${object.name}_${section.name.slice(1)}`), renderStruct(layout)]);
      }
    }
  }
  const names = declarations.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new Error(`Cannot generate layouts: two types would be named ${twice}`);
  return [
    "// Generated from the BTF of build/bpf/*.bpf.o by tools/layouts.ts (`make layouts`). Do not edit.\n",
    'import type { StructLayout } from "./layout.ts";\n',
    ...declarations.map(([name, text]) => `\nexport const ${name} = ${text};\n`),
  ].join("");
}

/** The type itself; of a union, which only groups structs, the types of its members. */
function namedTypes(btf: Btf, id: number): BtfType[] {
  const { type } = btf.resolve(id);
  if (type.kind !== "UNION") return [type];
  const members = type.members!.map((member) => btf.resolve(member.type_id).type);
  if (members.every(({ kind }) => kind === "STRUCT")) return members;
  throw new Error(`Cannot lay out "${type.name}" of ${btf.object.name}: it is a union of other types than structs`);
}

function constantName(name: string): string {
  return name.replaceAll(".", "_").toUpperCase();
}

function renderType(btf: Btf, type: BtfType): string {
  switch (type.kind) {
    case "STRUCT":
      return renderStruct({ size: type.size!, fields: Object.fromEntries(structFields(btf, type, "", 0)) });
    case "ENUM":
      return `{\n${type.values!.map(({ name, val }) => `  ${name}: ${val},\n`).join("")}} as const`;
    default:
      throw new Error(`Cannot lay out "${type.name}" of ${btf.object.name}: ${type.kind} is neither struct nor enum`);
  }
}

function structFields(btf: Btf, type: BtfType, prefix: string, base: number): [string, FieldLayout][] {
  return type.members!.flatMap((member) => {
    const name = prefix + member.name;
    if (member.bitfield_size || member.bits_offset % 8 !== 0) {
      throw new Error(`Cannot lay out "${name}" of ${type.name}: it is a bit-field`);
    }
    return fieldsOf(btf, name, member.type_id, base + member.bits_offset / 8);
  });
}

/** One field, or those of a struct within the struct. */
function fieldsOf(btf: Btf, name: string, typeId: number, offset: number): [string, FieldLayout][] {
  const { type, bigEndian } = btf.resolve(typeId);
  if (type.kind === "STRUCT") return structFields(btf, type, `${name}.`, offset);
  if (type.kind === "ARRAY") return [[name, arrayLayout(btf, name, type, offset)]];
  return [[name, { offset, ...scalarLayout(btf, name, type, bigEndian) }]];
}

function scalarLayout(btf: Btf, name: string, type: BtfType, bigEndian: boolean): Scalar {
  const size = type.size as IntegerLayout["size"];
  const integer = type.kind === "INT" || type.kind === "ENUM";
  if (!integer || ![1, 2, 4, 8].includes(size)) {
    throw new Error(`Cannot lay out "${name}" of ${btf.object.name}: ${type.kind} "${type.name}" is not supported`);
  }
  if (type.encoding === "BOOL") return { size: 1, kind: "bool" };
  return { size, kind: bigEndian ? "be" : type.encoding === "SIGNED" ? "int" : "uint" };
}

type Scalar = { size: IntegerLayout["size"]; kind: IntegerLayout["kind"] } | { size: 1; kind: "bool" };

function arrayLayout(btf: Btf, name: string, array: BtfType, offset: number): FieldLayout {
  const { type, bigEndian } = btf.resolve(array.type_id);
  const length = array.nr_elems!;
  const element = scalarLayout(btf, name, type, bigEndian);
  // The one thing that tells text from bytes is the C type: `char` against `__u8`.
  if (element.size === 1) return { offset, size: length, kind: type.name === "char" ? "chars" : "bytes" };
  return { offset, size: length * element.size, kind: "array", length, element: element as ArrayLayout["element"] };
}

function renderStruct({ size, fields }: StructLayout): string {
  const lines = Object.entries(fields).map(([name, field]) => {
    const key = /^\w+$/.test(name) ? name : JSON.stringify(name);
    return `    ${key}: ${renderObject(field)},\n`;
  });
  return `{\n  size: ${size},\n  fields: {\n${lines.join("")}  },\n} as const satisfies StructLayout`;
}

function renderObject(object: object): string {
  const members = Object.entries(object).map(([key, value]) =>
    `${key}: ${typeof value === "object" ? renderObject(value) : JSON.stringify(value)}`
  );
  return `{ ${members.join(", ")} }`;
}

/** Reads the BTF of every object in `dir`. */
export async function readObjects(dir = OBJECTS_DIR): Promise<BtfObject[]> {
  const objects: BtfObject[] = [];
  for await (const entry of Deno.readDir(dir)) {
    if (!entry.name.endsWith(".bpf.o")) continue;
    const { success, stdout, stderr } = await new Deno.Command("bpftool", {
      args: ["-j", "btf", "dump", "file", `${dir}/${entry.name}`],
      // Debian keeps bpftool where only root's PATH looks.
      env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin` },
    }).output();
    if (!success) throw new Error(`Cannot read BTF of ${entry.name}: ${new TextDecoder().decode(stderr).trim()}`);
    const { types } = JSON.parse(new TextDecoder().decode(stdout));
    objects.push({ name: entry.name.replace(/\.bpf\.o$/, ""), types });
  }
  return objects;
}

if (import.meta.main) {
  const text = generateLayouts(await readObjects());
  const old = await Deno.readTextFile(OUTPUT).catch(() => "");
  // An unchanged file keeps its time, and make has nothing to do.
  if (text !== old) await Deno.writeTextFile(OUTPUT, text);
}
