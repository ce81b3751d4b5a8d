/** What is generated from the protobuf definitions is what is checked in. */
import { assertEquals } from "./assert.ts";

const GENERATED = "lib/fleet/proto";

const hasProtoc = await new Deno.Command("protoc", { args: ["--version"], stdout: "null", stderr: "null" }).output()
  .then(({ success }) => success, () => false);
if (!hasProtoc) console.warn("Skipping the comparison of generated code: protoc (protobuf-compiler) is not installed");

function generatedFiles(folder: string, prefix = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${prefix}`)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return generatedFiles(folder, `${prefix}${name}/`);
    return name.endsWith(".gen.ts") ? [`${prefix}${name}`] : [];
  }).sort();
}

Deno.test({
  name: "The generated protobuf code is current: make proto changes nothing",
  ignore: !hasProtoc,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "ebpfmon-proto-" });
    try {
      const args = ["run", "--quiet", "--no-prompt", "--allow-read", "--allow-write", "--allow-env", "--allow-run"];
      const command = new Deno.Command(Deno.execPath(), { args: [...args, "tools/proto.ts", folder], stdin: "null" });
      const { success, stderr } = await command.output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      assertEquals(generatedFiles(folder), generatedFiles(GENERATED));
      for (const file of generatedFiles(folder)) {
        assertEquals(
          await Deno.readTextFile(`${folder}/${file}`),
          await Deno.readTextFile(`${GENERATED}/${file}`),
          file,
        );
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
