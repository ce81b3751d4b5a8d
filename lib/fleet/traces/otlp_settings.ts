/**
 * Where traces go, by the standard variables: `OTEL_EXPORTER_OTLP_*`, of which those with `TRACES_` in the name come
 * first. Without an endpoint there is no export: a server should not talk to whoever listens on localhost.
 */

export interface OtlpSettings {
  url: string;
  headers: Record<string, string>;
  timeoutMs: number;
  compression: "none" | "gzip";
  /** Files in PEM form; absent where the variable is. */
  certificatePath?: string;
  clientCertificatePath?: string;
  clientKeyPath?: string;
}

const PREFIX = "OTEL_EXPORTER_OTLP_";
const TRACES_PATH = "v1/traces";
const PROTOCOL = "http/protobuf";
const TIMEOUT_MS_DEFAULT = 10_000;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @returns null where no endpoint is set, or `OTEL_SDK_DISABLED` is true
 * @throws {TypeError} one line that names the variable and says what it takes; never a header's value
 */
export function otlpSettings(env: Environment): OtlpSettings | null {
  const { OTEL_SDK_DISABLED: disabled } = env;
  if (disabled?.toLowerCase() === "true") return null;
  const url = endpoint(env);
  if (url === null) return null;

  const protocol = lookUp(env, "PROTOCOL");
  if (protocol !== null && protocol.value !== PROTOCOL) {
    throw new TypeError(`Cannot export traces: ${protocol.name} takes ${PROTOCOL}, got ${protocol.value}`);
  }
  const certificatePath = lookUp(env, "CERTIFICATE")?.value;
  const clientCertificatePath = lookUp(env, "CLIENT_CERTIFICATE")?.value;
  const clientKeyPath = lookUp(env, "CLIENT_KEY")?.value;
  if ((clientCertificatePath === undefined) !== (clientKeyPath === undefined)) {
    throw new TypeError(`Cannot export traces: ${PREFIX}CLIENT_CERTIFICATE and ${PREFIX}CLIENT_KEY need each other`);
  }
  return {
    url,
    headers: { ...headersOf(env, `${PREFIX}HEADERS`), ...headersOf(env, `${PREFIX}TRACES_HEADERS`) },
    timeoutMs: timeoutMs(env),
    compression: compression(env),
    ...certificatePath !== undefined && { certificatePath },
    ...clientCertificatePath !== undefined && { clientCertificatePath, clientKeyPath },
  };
}

/** The variable for traces, else the one for all signals; an empty one counts as absent. */
function lookUp(env: Environment, name: string): { name: string; value: string } | null {
  for (const full of [`${PREFIX}TRACES_${name}`, `${PREFIX}${name}`]) {
    const value = env[full]?.trim();
    if (value) return { name: full, value };
  }
  return null;
}

function endpoint(env: Environment): string | null {
  const found = lookUp(env, "ENDPOINT");
  if (found === null) return null;
  const { name, value } = found;
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`Cannot export traces: ${name} takes an http or https URL`);
  }
  // The general one is a base to which each signal adds its path; the one for traces is used as it is.
  if (name === `${PREFIX}ENDPOINT`) url.pathname = `${url.pathname.replace(/\/$/, "")}/${TRACES_PATH}`;
  return url.href;
}

/** `key=value,key=value`, values percent-encoded. */
function headersOf(env: Environment, name: string): Record<string, string> {
  const headers = new Headers();
  for (const pair of (env[name] ?? "").split(",")) {
    if (pair.trim() === "") continue;
    const at = pair.indexOf("=");
    try {
      if (at < 0) throw new TypeError("no equals sign");
      headers.set(pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim()));
    } catch {
      throw new TypeError(`Cannot export traces: ${name} takes key=value,key=value with percent-encoded values`);
    }
  }
  return Object.fromEntries(headers);
}

function timeoutMs(env: Environment): number {
  const found = lookUp(env, "TIMEOUT");
  if (found === null) return TIMEOUT_MS_DEFAULT;
  if (!/^[1-9]\d{0,8}$/.test(found.value)) {
    throw new TypeError(`Cannot export traces: ${found.name} takes milliseconds, got ${found.value}`);
  }
  return Number(found.value);
}

function compression(env: Environment): "none" | "gzip" {
  const found = lookUp(env, "COMPRESSION");
  if (found === null || found.value === "none") return "none";
  if (found.value === "gzip") return "gzip";
  throw new TypeError(`Cannot export traces: ${found.name} takes none or gzip, got ${found.value}`);
}
