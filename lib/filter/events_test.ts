import { assertEquals } from "../../tests/assert.ts";
import {
  batchOf,
  connectPayload,
  eventRecord,
  execPayload,
  openPayload,
  tcpPayload,
  violationPayload,
} from "../../tests/support/records.ts";
import { parseAddress } from "../net/address.ts";
import { compileEventFilter } from "./events.ts";
import { parseEventFilter } from "./language.ts";

const RECORDS = {
  exec: eventRecord("process_exec", {
    severity: "info",
    pid: 1,
    uid: 0,
    comm: "bash",
    payload: execPayload("/bin/ls", "/etc\0"),
  }),
  exit: eventRecord("process_exit", { severity: "debug", pid: 4_294_967_295, comm: "123456789012345" }),
  open: eventRecord("file_open", {
    severity: "error",
    pid: 99,
    uid: 4_294_967_294,
    comm: 'my "cat"',
    cgroupId: 2n ** 63n + 5n,
    payload: openPayload("/etc/shadow"),
  }),
  connect: eventRecord("network_connect", {
    severity: "warning",
    pid: 100,
    comm: "bas",
    payload: connectPayload(parseAddress("192.0.2.1")!, 443),
  }),
  unix: eventRecord("network_connect", {
    severity: "warning",
    pid: 100,
    payload: connectPayload(new Uint8Array(), 443, "/run/x"),
  }),
  tcp6: eventRecord("tcp_state", {
    severity: "debug",
    pid: 101,
    payload: tcpPayload(
      { address: parseAddress("2001:db8::1")!, port: 40_000 },
      { address: parseAddress("2001:db8::2")!, port: 443 },
    ),
  }),
  denied: eventRecord("security_violation", { severity: "critical", payload: violationPayload("/etc") }),
};
type Name = keyof typeof RECORDS;
const NAMES = Object.keys(RECORDS) as Name[];
const BATCH = batchOf(NAMES.map((name) => RECORDS[name]));

/** Names of the records that a filter lets through. */
function accepted(filter: string): Name[] {
  const matches = compileEventFilter(parseEventFilter(filter));
  return NAMES.filter((_, i) => matches(BATCH, i));
}

Deno.test("compileEventFilter() tells each primitive's events from others", () => {
  const cases: [filter: string, names: Name[]][] = [
    ["pid 1", ["exec"]],
    ["pid 4294967295", ["exit"]],
    ["pid < 100", ["exec", "open"]],
    ["pid < 0", []],
    ["uid 0", ["exec"]],
    ["uid > 1000", ["open"]],
    ["comm bash", ["exec"]],
    ["comm bas", ["connect"]],
    ["comm 123456789012345", ["exit"]],
    [String.raw`comm "my \"cat\""`, ["open"]],
    ["event file_open", ["open"]],
    ["severity critical", ["denied"]],
    ["severity >= error", ["open", "denied"]],
    ["severity < info", ["exit", "tcp6"]],
    ["priority 1", ["open", "denied"]],
    ["priority 2", ["exec", "connect", "unix"]],
    ["priority 3", ["exit", "tcp6"]],
    ["category process", ["exec", "exit"]],
    ["category filesystem", ["open"]],
    ["category network", ["connect", "unix", "tcp6"]],
    ["category syscall", ["denied"]],
    ["category unknown", []],
    ["path /etc", ["open", "denied"]],
    ["path /etc/shadow", ["open"]],
    ["path /etc/shadows", []],
    ["path /bin/ls", ["exec"]],
    ["path /bin/ls/", []],
    ["path /run", []],
    ["cgroup 9223372036854775813", ["open"]],
    ["cgroup 9", ["exec", "exit", "connect", "unix", "tcp6", "denied"]],
    ["tcp", ["tcp6"]],
    ["proto 6", ["tcp6"]],
    ["udp", []],
    ["ip", ["connect"]],
    ["ip6", ["tcp6"]],
    ["host 192.0.2.1", ["connect"]],
    ["dst host 192.0.2.1", ["connect"]],
    ["src host 192.0.2.1", []],
    ["src host 2001:db8::1", ["tcp6"]],
    ["dst host 2001:db8::1", []],
    ["net 2001:db8::/32", ["tcp6"]],
    ["net ::/0", ["tcp6"]],
    ["net 0.0.0.0/0", ["connect"]],
    ["port 443", ["connect", "tcp6"]],
    ["src port 40000", ["tcp6"]],
    ["dst port 40000", []],
    ["port 0", []],
  ];
  for (const [filter, names] of cases) assertEquals(accepted(filter), names, filter);
});

Deno.test("compileEventFilter() joins conditions", () => {
  assertEquals(accepted("not category network"), ["exec", "exit", "open", "denied"]);
  assertEquals(accepted("category network and port 443 and ip"), ["connect"]);
  assertEquals(accepted("path /bin or tcp or uid > 1000"), ["exec", "open", "tcp6"]);
  assertEquals(accepted("not (severity >= info)"), ["exit", "tcp6"]);
});
