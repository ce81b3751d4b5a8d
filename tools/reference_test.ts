import { assertEquals } from "../tests/assert.ts";
import { commandNames, commandPart, metricTable } from "./reference.ts";

const HELP = `ebpfmon look: what is there

Usage: ebpfmon look [PLACE] [FLAGS]

Looks. --far sees more.

Arguments:
  PLACE  where to look

Flags:
  --far            as far as it goes
  --from A|B       the side to look from [A]
  -h, --help       this help

Examples:
  # look
  ebpfmon look

Exit codes:
  0  done
`;

Deno.test("commandNames() reads the names of commands from the program's help", () => {
  assertEquals(commandNames("ebpfmon\n\nCommands:\n  look [PLACE]  looks\n  go            goes\n"), ["look", "go"]);
});

Deno.test("commandPart() makes a section of a command's help", () => {
  assertEquals(commandPart("look", HELP).split("\n"), [
    "### look",
    "",
    "    ebpfmon look [PLACE] [FLAGS]",
    "",
    "What is there.",
    "",
    "Looks. `--far` sees more.",
    "",
    "| argument | meaning |",
    "| --- | --- |",
    "| `PLACE` | where to look |",
    "",
    "| flag | default | meaning |",
    "| --- | --- | --- |",
    "| `--far` |  | as far as it goes |",
    "| `--from A\\|B` | `A` | the side to look from |",
    "| `-h, --help` |  | this help |",
  ]);
});

Deno.test("metricTable() names the labels of each family, but for a histogram's bounds", () => {
  const page = '# HELP a_total Some.\n# TYPE a_total counter\na_total{x="1",y="2"} 3\n' +
    '# HELP b Others.\n# TYPE b histogram\nb_bucket{le="1"} 0\nb_count 0\n';
  assertEquals(metricTable(page).split("\n").slice(2), [
    "| `a_total` | counter | `x`, `y` | Some. |",
    "| `b` | histogram |  | Others. |",
  ]);
});
