/** `ebpfmon doctor`: what works here, what does not, and what to do. */
import { jsonLine, rfc3339 } from "../export/json_lines.ts";
import { type Feature, probeFeatures } from "../ffi/features.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { assetsDir } from "../worker_url.ts";
import type { OutputOptions } from "./args.ts";
import { print, unixNs } from "./console.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { fit } from "./text.ts";

/** A line a feature, then the verdict. */
export function renderFeatures(features: Feature[], colour: boolean): string {
  const paint = (code: number, text: string) => colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  const nameWidth = Math.max(...features.map((feature) => feature.name.length));
  const lines = features.map(({ name, works, needed, why, remedy }) => {
    const verdict = works ? paint(32, "works  ") : needed ? paint(31, "MISSING") : paint(33, "without");
    return `${verdict}  ${fit(name, nameWidth)}  ${why}${remedy === "" ? "" : `: ${remedy}`}`;
  });
  const broken = features.filter((feature) => feature.needed && !feature.works);
  const verdict = broken.length === 0
    ? "ebpfmon works here."
    : `ebpfmon does not work here: ${broken.map((feature) => feature.name).join(", ")}.`;
  return [...lines, "", verdict, ""].join("\n");
}

export async function doctor(options: OutputOptions, host: string): Promise<ExitCode> {
  using libbpf = openLibbpf({ embeddedDir: `${assetsDir()}/lib` });
  const elf = (name: string) => Deno.readFileSync(`${assetsDir()}/bpf/${name}.bpf.o`);
  const features = await probeFeatures(libbpf, {
    flow: elf("flow"),
    router: elf("router"),
    process: elf,
    socketOwner: elf("socket_owner"),
    retransmit: elf("retransmit"),
  });
  if (options.json) {
    const time = rfc3339(unixNs());
    for (const feature of features) {
      print(jsonLine({ type: "feature", time, host, feature: feature.name, ...feature, name: undefined }));
    }
  } else {
    print(renderFeatures(features, Deno.stdout.isTerminal() && !Deno.noColor));
  }
  const broken = features.filter((feature) => feature.needed && !feature.works);
  if (broken.length === 0) return EXIT.done;
  return broken.some((feature) => feature.name === "privileges") ? EXIT.privilege : EXIT.unsupported;
}
