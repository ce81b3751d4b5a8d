/**
 * Hosts of which it is known what belongs together: groups as they happen, among events that look alike and belong to
 * nothing. Some of what makes it hard in earnest is in it: pids that come again, children that never exec, exits that
 * were lost, kills that only happen to follow a shortage, tuples that two hosts use for themselves.
 */
import type { FleetRecord, RuleKind } from "../lib/fleet/correlation/correlated_group.ts";
import { FakeHost } from "./correlation_records.ts";
import { Random } from "./support/random.ts";

export interface TrueGroup {
  kind: RuleKind;
  /** `AGENT/SEQUENCE` of each. */
  members: Set<string>;
}

export interface Corpus {
  /** By time. */
  records: FleetRecord[];
  truth: TrueGroup[];
}

const HOSTS = 8;
/** Few, so that they come again soon. */
const PIDS = 600;
const FIRST_PID = 1_000;
const PID_REST_S = 1;
const SYSTEM_CGROUP = 1n;

/** @param rounds each host gets one group of each kind a round, and the noise that goes with it; a round is 100 s */
export function makeCorpus(seed: number, rounds: number): Corpus {
  return new CorpusMaker(new Random(seed)).make(rounds);
}

export function memberName({ agent, sequence }: { agent: string; sequence: number }): string {
  return `${agent}/${sequence}`;
}

interface Timed {
  seconds: number;
  record: FleetRecord;
}

class CorpusMaker {
  readonly #random: Random;
  readonly #hosts = Array.from({ length: HOSTS }, (_, i) => new FakeHost(`host-${i}`));
  readonly #pidFreeAt = new Map<string, number>();
  readonly #timed: Timed[] = [];
  readonly #truth: TrueGroup[] = [];
  #port = 20_000;

  constructor(random: Random) {
    this.#random = random;
  }

  make(rounds: number): Corpus {
    for (let round = 0; round < rounds; round++) {
      for (const host of this.#hosts) this.#round(host, round * 100);
    }
    this.#timed.sort((left, right) => left.seconds - right.seconds);
    return { records: this.#timed.map(({ record }) => record), truth: this.#truth };
  }

  #round(host: FakeHost, start: number): void {
    for (let i = 0; i < 4; i++) this.#tree(host, start + this.#seconds(80));
    for (let i = 0; i < 8; i++) this.#noiseProcess(host, start + this.#seconds(80));
    this.#burst(host, start + this.#seconds(40));
    this.#grumble(host, start);
    this.#pressure(host, start + this.#seconds(30));
    this.#noisePressure(host, start + 60);
    for (let i = 0; i < 6; i++) this.#pair(host, start + this.#seconds(90));
    for (let i = 0; i < 6; i++) this.#noiseConnection(host, start + this.#seconds(90));
  }

  /** A shell that starts programs, of which one connects and a later one, or the same, reads. */
  #tree(host: FakeHost, start: number): void {
    const group = this.#group("process_tree");
    const shell = this.#pid(host, start);
    let now = start;
    const next = () => now += 0.001 + this.#seconds(2);
    group(now, host.event("process_exec", now, { pid: shell, ppid: 1, filename: "/bin/sh", comm: "sh" }));
    const children = 1 + this.#random.below(3);
    for (let i = 0; i <= children; i++) {
      const isLast = i === children;
      const pid = i === 0 ? shell : this.#pid(host, now);
      const who = { pid, comm: isLast ? "cat" : "curl" };
      // Runs its parent's program: only the agent can say whose child it is, and it does not always know.
      const isForkOnly = i > 0 && this.#random.below(100) < 4;
      const enrichment = isForkOnly && this.#random.below(2) === 0 ? { ppid: shell } : undefined;
      if (i > 0 && !isForkOnly) group(next(), host.event("process_exec", now, { ...who, ppid: shell }));
      if (!isLast) group(next(), host.event("network_connect", now, { ...who, ...enrichment && { enrichment } }));
      else group(next(), host.event("file_open", now, { ...who, ...enrichment && { enrichment } }));
      if (i > 0) this.#exit(host, next(), who, group);
    }
    this.#exit(host, next(), { pid: shell, comm: "sh" }, group);
  }

  /** One exit in a hundred is lost. */
  #exit(host: FakeHost, seconds: number, who: { pid: number; comm: string }, group?: Add): void {
    this.#pidFreeAt.set(`${host.agent}/${who.pid}`, seconds + PID_REST_S);
    if (this.#random.below(100) === 0) return;
    const record = host.event("process_exit", seconds, who);
    if (group) group(seconds, record);
    else this.#add(seconds, record);
  }

  /** Reads before it connects, or does one of both. */
  #noiseProcess(host: FakeHost, start: number): void {
    const who = { pid: this.#pid(host, start), comm: "noise" };
    let now = start;
    const next = () => now += 0.001 + this.#seconds(3);
    this.#add(now, host.event("process_exec", now, { ...who, ppid: 1 }));
    const shape = this.#random.below(3);
    if (shape !== 0) this.#add(next(), host.event("file_open", now, who));
    if (shape !== 1) this.#add(next(), host.event("network_connect", now, who));
    this.#exit(host, next(), who);
  }

  #burst(host: FakeHost, start: number): void {
    const group = this.#group("burst");
    const uid = 2_000 + this.#random.below(1_000_000);
    const count = 22 + this.#random.below(40);
    for (let i = 0; i < count; i++) {
      const now = start + i * 0.15 + this.#seconds(0.1);
      group(now, host.event("security_violation", now, { uid, pid: this.#pid(host, now), comm: "probe" }));
    }
  }

  /** One user who is refused often, but never often enough. */
  #grumble(host: FakeHost, start: number): void {
    for (let i = 0; i < 100; i++) {
      const now = start + i + this.#seconds(0.9);
      this.#add(now, host.event("security_violation", now, { uid: 1_500, comm: "grumbler" }));
    }
  }

  #pressure(host: FakeHost, start: number): void {
    const group = this.#group("pressure");
    const pid = this.#pid(host, start);
    const cgroupId = BigInt(100 + this.#random.below(1_000));
    const who = { pid, comm: "hungry", cgroupId };
    let now = start;
    for (let i = 0; i < 1 + this.#random.below(5); i++) {
      group(now, host.event("resource_limit", now, who));
      now += this.#seconds(2);
    }
    now += 0.1 + this.#seconds(10);
    const relation = this.#random.below(10);
    const victim = relation < 7 ? who : {
      pid: this.#pid(host, now),
      comm: "victim",
      cgroupId: relation < 9 ? cgroupId : SYSTEM_CGROUP,
    };
    group(now, host.event("process_exit", now, { ...victim, signal: 9 }));
    // Somebody ends a process of his own, in the same half minute.
    if (this.#random.below(4) === 0) {
      const later = now + 0.5;
      this.#add(later, host.event("process_exit", later, { pid: this.#pid(host, later), comm: "sleep", signal: 9 }));
    }
  }

  /** A shortage without a kill, and a kill long after. */
  #noisePressure(host: FakeHost, start: number): void {
    this.#add(start, host.event("resource_limit", start, { kind: "emfile", comm: "leaky" }));
    const later = start + 36;
    this.#add(later, host.event("process_exit", later, { pid: this.#pid(host, later), comm: "sleep", signal: 9 }));
  }

  #pair(client: FakeHost, start: number): void {
    const server = this.#random.pick(this.#hosts.filter((host) => host !== client));
    const group = this.#group("connection_pair");
    const [src, dst, sport, dport] = [addressOf(client), addressOf(server), this.#nextPort(), 5_432];
    const latency = this.#seconds(0.05);
    if (this.#random.below(3) > 0) {
      const [out, in_] = [{ src, dst, sport, dport }, { src: dst, dst: src, sport: dport, dport: sport }];
      group(start, client.event("tcp_state", start, { ...out, pid: 7, comm: "psql" }));
      const answered = start + latency;
      group(answered, server.event("tcp_state", answered, { ...in_, oldState: "SYN_RECV", pid: 8, comm: "postgres" }));
    }
    for (let i = 0; i <= this.#random.below(3); i++) {
      const now = start + 0.1 + i;
      const flow = { src, dst, sport, dport };
      group(now, client.flow(now, { ...flow, direction: "egress" }));
      group(now + latency, server.flow(now + latency, { ...flow, direction: "ingress" }));
    }
  }

  #noiseConnection(host: FakeHost, start: number): void {
    const other = this.#random.pick(this.#hosts.filter((candidate) => candidate !== host));
    const sport = this.#nextPort();
    const outside = { src: addressOf(host), dst: "198.51.100.7", sport, dport: 443 };
    const loopback = { src: "127.0.0.1", dst: "127.0.0.1", sport, dport: 8_080 };
    const past = { src: addressOf(host), dst: addressOf(other), sport, dport: 22 };
    switch (this.#random.below(3)) {
      case 0:
        this.#add(start, host.flow(start, { ...outside, direction: "egress" }));
        this.#add(start + 1, host.event("tcp_state", start + 1, outside));
        break;
      case 1:
        this.#add(start, host.event("tcp_state", start, loopback));
        this.#add(start + 1, other.event("tcp_state", start + 1, { ...loopback, oldState: "SYN_RECV" }));
        break;
      default:
        // The same tuple again, long after.
        this.#add(start, host.flow(start, { ...past, direction: "egress" }));
        this.#add(start + 60, other.flow(start + 60, { ...past, direction: "ingress" }));
    }
  }

  #group(kind: RuleKind): Add {
    const members = new Set<string>();
    this.#truth.push({ kind, members });
    return (seconds, record) => {
      members.add(memberName(record));
      this.#add(seconds, record);
    };
  }

  #add(seconds: number, record: FleetRecord): void {
    this.#timed.push({ seconds, record });
  }

  /** One that nobody has now, nor will for a while: it is kept until its exit, or for 100 s. */
  #pid(host: FakeHost, seconds: number): number {
    for (;;) {
      const pid = FIRST_PID + this.#random.below(PIDS);
      const key = `${host.agent}/${pid}`;
      if ((this.#pidFreeAt.get(key) ?? -Infinity) > seconds) continue;
      this.#pidFreeAt.set(key, seconds + 100);
      return pid;
    }
  }

  #nextPort(): number {
    this.#port = this.#port >= 60_000 ? 20_000 : this.#port + 1;
    return this.#port;
  }

  #seconds(limit: number): number {
    return this.#random.below(1e9) / 1e9 * limit;
  }
}

type Add = (seconds: number, record: FleetRecord) => void;

function addressOf(host: FakeHost): string {
  return `10.0.0.${Number(host.agent.slice("host-".length)) + 1}`;
}
