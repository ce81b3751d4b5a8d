/** The service answers a client that shares no code with ours: Python on gRPC's C core. */
import { DESCRIPTOR_SET } from "../lib/fleet/proto/descriptors.gen.ts";
import { FleetServer } from "../lib/fleet/server/grpc_service.ts";
import { tokenHash } from "./support/token_hash.ts";
import { assertArrayIncludes, assertEquals } from "./assert.ts";
import { CertificateFolder } from "./support/fleet_certificates.ts";
import { MemoryStore } from "./support/fleet_memory_store.ts";

// Debian's: its packages are not seen by another Python that may stand before it on the PATH.
const PYTHON = "/usr/bin/python3";
const SCRIPT = decodeURIComponent(new URL("support/fleet_c_core_client.py", import.meta.url).pathname);

async function python(args: string[]): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const { success, stdout, stderr } = await new Deno.Command(PYTHON, { args, stdin: "null" }).output();
  return { success, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

const hasGrpc = await python(["-c", "import grpc, google.protobuf"]).then(({ success }) => success, () => false);
if (!hasGrpc) console.warn("Skipping the C-core client: python3-grpcio and python3-protobuf are not installed");

for (const gzip of [false, true]) {
  Deno.test({
    name: `A C-core client streams, is acknowledged, and reads health and reflection${gzip ? ", with gzip" : ""}`,
    ignore: !hasGrpc,
    async fn() {
      await using folder = await CertificateFolder.create();
      const ca = await folder.authority("ca");
      const server = await folder.issue("ca", "server");
      const client = await folder.issue("ca", "agent-1");
      const tokensFile = `${folder.path}/tokens`;
      const token = "a-long-enough-secret";
      await Deno.writeTextFile(tokensFile, `agent-1 ${tokenHash(token)}\n`);
      const store = new MemoryStore();
      await using service = await FleetServer.listen({
        listen: { host: "127.0.0.1", port: 0 },
        store,
        tls: { ...server, ca },
        tokensFile,
        onNotice: () => {},
      });
      const { success, stdout, stderr } = await python([
        SCRIPT,
        JSON.stringify({
          descriptors: DESCRIPTOR_SET.toBase64(),
          port: service.port,
          ca,
          ...client,
          token,
          agent: "agent-1",
          batches: 50,
          events: 20,
          gzip,
        }),
      ]);
      assertEquals(success, true, stderr);
      const answer = JSON.parse(stdout);
      assertArrayIncludes(answer.services, ["ebpfmon.v1.Fleet", "grpc.health.v1.Health"]);
      assertEquals({ ...answer, services: [], window: 0 }, {
        health: 1,
        unknown: "NOT_FOUND",
        services: [],
        reflected: "ebpfmon.proto",
        window: 0,
        acknowledged: 50,
        rest: 0,
        status: "OK",
      });
      assertEquals(store.eventNumbers, Array.from({ length: 1000 }, (_, n) => n));
    },
  });
}
