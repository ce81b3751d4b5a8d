import { assertEquals, assertRejects } from "../assert.ts";
import { mirrorOfMachine, parseSources } from "./debian.ts";

Deno.test("parseSources() reads one-line entries, with options and without", () => {
  const text = "# deb http://a.example/debian stretch main\n" +
    "deb http://b.example/debian bookworm main contrib\n" +
    "deb-src http://c.example/debian bookworm main\n" +
    "deb [arch=amd64 signed-by=/k.gpg] http://d.example/debian bookworm-updates main\n";
  assertEquals(parseSources(text), [
    { uri: "http://b.example/debian", suites: ["bookworm"] },
    { uri: "http://d.example/debian", suites: ["bookworm-updates"] },
  ]);
});

Deno.test("parseSources() reads paragraphs", () => {
  const text = "Types: deb\n# a comment\nURIs: http://a.example/debian http://b.example/debian/\n" +
    "Suites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://c.example/s\nSuites: other\n";
  const suites = ["bookworm", "bookworm-updates"];
  assertEquals(parseSources(text), [
    { uri: "http://a.example/debian", suites },
    { uri: "http://b.example/debian/", suites },
    { uri: "http://c.example/s", suites: ["other"] },
  ]);
});

Deno.test("mirrorOfMachine() is where bookworm comes from, and an error where nothing does", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/sources.list.d`);
    await Deno.writeTextFile(
      `${dir}/sources.list.d/a.sources`,
      "URIs: http://s.example/x\nSuites: bookworm-security\n",
    );
    await assertRejects(() => mirrorOfMachine(dir), Error, "names no mirror");
    await Deno.writeTextFile(`${dir}/sources.list`, "deb http://m.example/debian/ bookworm main\n");
    assertEquals(await mirrorOfMachine(dir), "http://m.example/debian");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
