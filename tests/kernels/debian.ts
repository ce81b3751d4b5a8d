/** Packages of any Debian suite and architecture, through the machine's own apt: its mirror, its proxy, its keys. */
import { output } from "./command.ts";

/** The suite that the machine's apt is asked for; where it comes from, the others come from too. */
const HOME_SUITE = "bookworm";

interface Source {
  uri: string;
  suites: string[];
}

/** Reads the one-line format and the one of paragraphs; see sources.list(5). */
export function parseSources(text: string): Source[] {
  const sources: Source[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const lines = paragraph.split("\n").filter((line) => !line.startsWith("#"));
    for (const line of lines) {
      const [, uri, suite] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line) ?? [];
      if (uri !== undefined) sources.push({ uri, suites: [suite] });
    }
    const field = (name: string) =>
      lines.find((line) => line.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1).trim().split(/\s+/) ?? [];
    for (const uri of field("uris")) sources.push({ uri, suites: field("suites") });
  }
  return sources;
}

/** Where this machine's apt gets Debian from. @throws when it gets none of that suite */
export async function mirrorOfMachine(dir = "/etc/apt"): Promise<string> {
  const texts: string[] = [];
  for (const path of [`${dir}/sources.list`, `${dir}/sources.list.d`]) {
    const info = await Deno.stat(path).catch(() => null);
    if (info?.isFile) texts.push(await Deno.readTextFile(path));
    if (!info?.isDirectory) continue;
    for await (const { name } of Deno.readDir(path)) {
      if (/\.(list|sources)$/.test(name)) texts.push(await Deno.readTextFile(`${path}/${name}`));
    }
  }
  const source = texts.flatMap(parseSources).find(({ suites }) => suites.includes(HOME_SUITE));
  if (source === undefined) throw new Error(`Cannot fetch kernels: ${dir} names no mirror of Debian ${HOME_SUITE}`);
  return source.uri.replace(/\/$/, "");
}

/** The packages of one suite for one architecture, with lists of its own: the machine's are left alone. */
export class DebianSuite {
  readonly #dir: string;
  readonly #options: string[];

  private constructor(dir: string, architecture: string) {
    this.#dir = dir;
    const settings = {
      "Dir::Etc::SourceList": `${dir}/sources.list`,
      "Dir::Etc::SourceParts": "/dev/null",
      "Dir::State::Lists": `${dir}/lists`,
      "Dir::State::Status": `${dir}/status`,
      "Dir::Cache": `${dir}/cache`,
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "root",
      "Acquire::Languages": "none",
      "Acquire::Retries": "3",
    };
    this.#options = ["-q", ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
  }

  /** Fetches the suite's list of packages. */
  static async open(dir: string, suite: string, architecture: string): Promise<DebianSuite> {
    for (const name of ["lists/partial", "cache/archives/partial"]) {
      await Deno.mkdir(`${dir}/${name}`, { recursive: true });
    }
    const absolute = await Deno.realPath(dir);
    const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    const source = `deb [signed-by=${keyring}] ${await mirrorOfMachine()} ${suite} main\n`;
    await Deno.writeTextFile(`${dir}/sources.list`, source);
    await Deno.writeTextFile(`${dir}/status`, "");
    const opened = new DebianSuite(absolute, architecture);
    // Without --error-on=any a list that cannot be fetched is a warning.
    await output("apt-get", [...opened.#options, "--error-on=any", "update"]);
    return opened;
  }

  /** Names of the packages that one depends on. */
  async dependencies(packageName: string): Promise<string[]> {
    const text = await output("apt-cache", [...this.#options, "depends", packageName]);
    return Array.from(text.matchAll(/^ *\|?(?:Depends|PreDepends): (\S+)/gm), ([, name]) => name);
  }

  /** Fetches a package and unpacks it into `folder`; nothing of it is run. */
  async unpack(packageName: string, folder: string): Promise<void> {
    const downloads = await Deno.makeTempDir({ dir: this.#dir });
    try {
      await output("apt-get", [...this.#options, "download", packageName], { cwd: downloads });
      for await (const { name } of Deno.readDir(downloads)) {
        await output("dpkg-deb", ["-x", `${downloads}/${name}`, folder]);
      }
    } finally {
      await Deno.remove(downloads, { recursive: true });
    }
  }
}
