/** Certificates that openssl makes at test time. */

export interface CertificateFiles {
  cert: string;
  key: string;
}

export class CertificateFolder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<CertificateFolder> {
    return new CertificateFolder(await Deno.makeTempDir({ prefix: "ebpfmon-fleet-" }));
  }

  /** Signs certificates; is not one of the others. @returns path of its certificate */
  async authority(name: string): Promise<string> {
    await this.#openssl(["req", "-x509", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.crt`, "-days", "2"], name);
    return `${this.path}/${name}.crt`;
  }

  /** @param options.expired yesterday */
  async issue(
    authority: string,
    commonName: string,
    options: { names?: string; expired?: boolean; file?: string } = {},
  ): Promise<CertificateFiles> {
    const file = options.file ?? commonName;
    await this.#openssl(["req", ...KEY, "-keyout", `${file}.key`, "-out", `${file}.csr`], commonName);
    const names = options.names ?? "DNS:localhost,IP:127.0.0.1";
    await Deno.writeTextFile(`${this.path}/${file}.ext`, `subjectAltName=${names}\n`);
    const day = (days: number) =>
      new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]|\..*/g, "") + "Z";
    // `x509 -req` cannot set when a certificate begins; `ca` can, and wants files of its own.
    await Deno.writeTextFile(`${this.path}/${file}.index`, "");
    await Deno.writeTextFile(
      `${this.path}/${file}.conf`,
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${file}.index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n` +
        `policy=any\nunique_subject=no\n[any]\ncommonName=supplied\n`,
    );
    await this.#run([
      ...["ca", "-batch", "-notext", "-config", `${file}.conf`, "-in", `${file}.csr`, "-out", `${file}.crt`],
      ...["-cert", `${authority}.crt`, "-keyfile", `${authority}.key`, "-extfile", `${file}.ext`],
      ...["-startdate", day(options.expired ? -3 : -1), "-enddate", day(options.expired ? -1 : 2)],
    ]);
    return { cert: `${this.path}/${file}.crt`, key: `${this.path}/${file}.key` };
  }

  async #openssl(args: string[], commonName: string): Promise<void> {
    await this.#run([...args, "-subj", `/CN=${commonName}`]);
  }

  async #run(args: string[]): Promise<void> {
    const command = new Deno.Command("openssl", { args, cwd: this.path, stdin: "null" });
    const { success, stderr } = await command.output();
    if (!success) throw new Error(`Cannot run openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
