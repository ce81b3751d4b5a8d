/** What is in packaging/ against the program: flags, metrics, capabilities, and the formats of the files. */
import { parse, parseAllDocuments } from "yaml";
import { parseCommandLine } from "../lib/cli/args.ts";
import { renderMetrics } from "../lib/export/metrics.ts";
import { addEventMetrics } from "../lib/export/event_json.ts";
import { PrometheusText } from "../lib/metrics/prometheus.ts";
import { renderServerMetrics } from "../lib/fleet/server/metrics.ts";
import { assert, assertEquals, assertGreater, assertMatch } from "./assert.ts";
import { fullMetricsSnapshot, fullServerSnapshot } from "./support/full_snapshots.ts";

const PACKAGING = decodeURIComponent(new URL("../packaging/", import.meta.url).pathname);
const CAPABILITIES = ["BPF", "NET_ADMIN", "PERFMON"];
const read = (path: string) => Deno.readTextFileSync(PACKAGING + path);

/** Names of the families on a page, and of a histogram's series. */
function familiesOf(page: string): Set<string> {
  const names = new Set<string>();
  for (const [, name, type] of page.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    names.add(name);
    if (type === "histogram") { for (const suffix of ["_bucket", "_sum", "_count"]) names.add(name + suffix); }
  }
  return names;
}

function knownMetrics(): Set<string> {
  const snapshot = fullMetricsSnapshot();
  const events = new PrometheusText();
  addEventMetrics(events, snapshot.events!);
  const pages = [renderMetrics(snapshot), events.toString(), renderServerMetrics(fullServerSnapshot())];
  return familiesOf(pages.join(""));
}

Deno.test("every metric and label in the Grafana dashboard is one that the program has", () => {
  const dashboard = JSON.parse(read("grafana/ebpfmon-fleet.json"));
  const known = knownMetrics();
  const expressions: string[] = dashboard.panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
    targets.map(({ expr }) => expr)
  );
  assertGreater(expressions.length, 20);
  for (const expression of expressions) {
    const names = expression.match(/\bebpfmon_\w+/g) ?? [];
    assertGreater(names.length, 0, expression);
    for (const name of names) assert(known.has(name), `${name} in ${expression}`);
  }
  const ids = dashboard.panels.map(({ id }: { id: number }) => id);
  assertEquals(new Set(ids).size, ids.length);
});

/** `Key=value` lines; of a key that stands several times all values. */
function unitOf(path: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const line of read(path).split("\n")) {
    const match = /^([A-Za-z]+)=(.*)$/.exec(line);
    if (match) values.set(match[1], [...values.get(match[1]) ?? [], match[2]]);
  }
  return values;
}

/** The words behind the program's name, as the program takes them. */
function parsed(words: string[]): ReturnType<typeof parseCommandLine> {
  return parseCommandLine(words, (path) => read(path.replace("/etc/ebpfmon/", "examples/")));
}

Deno.test("systemd's units start commands that exist, with the least capabilities", () => {
  for (const name of ["ebpfmon", "ebpfmon-agent", "ebpfmon-serve"]) {
    const unit = unitOf(`${name}.service`);
    const [program, ...words] = unit.get("ExecStart")![0].split(" ");
    assertEquals(program, "@PREFIX@/bin/ebpfmon");
    const { command } = parsed(words);
    assertEquals(command, { ebpfmon: "monitor", "ebpfmon-agent": "agent", "ebpfmon-serve": "serve" }[name]);
    const expected = name === "ebpfmon-serve" ? undefined : [CAPABILITIES.map((cap) => `CAP_${cap}`).sort().join(" ")];
    assertEquals(unit.get("AmbientCapabilities"), expected);
    assertEquals(unit.get("CapabilityBoundingSet"), expected);
    for (const key of ["DynamicUser", "NoNewPrivileges"]) assertEquals(unit.get(key), ["yes"]);
    assertEquals(unit.get("ProtectSystem"), ["strict"]);
  }
});

// deno-lint-ignore no-explicit-any
type Manifest = Record<string, any>;

function manifests(path: string): Manifest[] {
  return parseAllDocuments(read(path)).map((document) => {
    assertEquals(document.errors, []);
    return document.toJS();
  });
}

Deno.test("Kubernetes' manifests run commands that exist, unprivileged, on a root that cannot be written to", () => {
  const [agent] = manifests("kubernetes/agent.yaml");
  const server = manifests("kubernetes/serve.yaml");
  assertEquals([agent.kind, ...server.map(({ kind }) => kind)], [
    "DaemonSet",
    "Service",
    "PersistentVolumeClaim",
    "Deployment",
  ]);
  const added = { DaemonSet: CAPABILITIES, Deployment: undefined };
  for (const workload of [agent, server[2]]) {
    const { spec } = workload.spec.template;
    assertEquals(workload.spec.selector.matchLabels, workload.spec.template.metadata.labels);
    assertEquals(spec.containers.length, 1);
    const [container] = spec.containers;
    const { command } = parsed(container.args);
    assertEquals(command, workload.kind === "DaemonSet" ? "agent" : "serve");
    const { securityContext } = container;
    assertEquals(securityContext.privileged, false);
    assertEquals(securityContext.allowPrivilegeEscalation, false);
    assertEquals(securityContext.readOnlyRootFilesystem, true);
    assertEquals(securityContext.capabilities.drop, ["ALL"]);
    assertEquals(securityContext.capabilities.add?.toSorted(), added[workload.kind as keyof typeof added]);
    const volumes = spec.volumes.map(({ name }: Manifest) => name).sort();
    assertEquals(container.volumeMounts.map(({ name }: Manifest) => name).sort(), volumes);
  }
  assertEquals(server[0].spec.selector, server[2].spec.selector.matchLabels);
});

Deno.test("the examples of configuration are ones that the program takes", () => {
  const agent = parsed(["agent", "--config", "/etc/ebpfmon/agent.json"]);
  assert(agent.command === "agent");
  assertEquals(agent.options.link.servers.length, 2);
  assertEquals(agent.options.link.tls, { ca: "/etc/ebpfmon/ca.pem" });
  const server = parsed(["serve", "--config", "/etc/ebpfmon/serve.json"]);
  assert(server.command === "serve");
  assertEquals(server.options.grpc?.listen, { host: "0.0.0.0", port: 9465 });
});

Deno.test("the Dockerfile's image runs a command that exists, as nobody", () => {
  const text = read("Dockerfile");
  const [, command] = /^CMD (\[.*\])$/m.exec(text)!;
  assertEquals(parsed(parse(command)).command, "serve");
  assertMatch(text, /^USER 65534:65534$/m);
  assertMatch(text, /^ENTRYPOINT \["\/usr\/local\/bin\/ebpfmon"\]$/m);
});
