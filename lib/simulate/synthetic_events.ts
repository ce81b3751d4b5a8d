/**
 * Makes the events of bpf/simulate.bpf.c without a kernel: the same records in the same order, except for their times.
 * tests/simulate_test.ts compares the two byte by byte.
 */
import { AF_INET } from "../net/address_family.ts";
import { writeField } from "../wire/layout.ts";
import {
  CONNECT_PAYLOAD,
  EVENT,
  EVENT_TYPE,
  EXEC_PAYLOAD,
  OPEN_PAYLOAD,
  SEVERITY,
  SIMULATED,
  VIOLATION_PAYLOAD,
} from "../wire/layouts.gen.ts";
import type { SharedRing } from "../events/event.ts";

const RECORD_BYTES_MAX = EVENT.size + 64;
const EPERM = 1;
const SYS_MOUNT = 165;
const SYS_OPENAT = 257;
const NOBODY = 65534;

export interface SyntheticRecord {
  ring: SharedRing;
  data: DataView<ArrayBuffer>;
  lengthBytes: number;
}

export class SyntheticEvents {
  readonly #nowNs: () => bigint;
  readonly #data = new DataView(new ArrayBuffer(RECORD_BYTES_MAX));
  readonly #bytes = new Uint8Array(this.#data.buffer);
  readonly #record: SyntheticRecord = { ring: "debug", data: this.#data, lengthBytes: 0 };
  #number = 0;

  /** @param nowNs CLOCK_MONOTONIC */
  constructor(nowNs: () => bigint) {
    this.#nowNs = nowNs;
  }

  /** The record of the next event. It is valid until the next call. */
  next(): SyntheticRecord {
    const n = this.#number++;
    const data = this.#data;
    this.#bytes.fill(0);
    const now = this.#nowNs();
    const pid = SIMULATED.SIMULATED_PID_FIRST + (n * 7) % SIMULATED.SIMULATED_PROCESSES;
    writeField(data, EVENT, "ts_ns", now);
    writeField(data, EVENT, "first_ns", now);
    writeField(data, EVENT, "pid", pid);
    writeField(data, EVENT, "tid", pid);
    writeField(data, EVENT, "uid", NOBODY);
    writeField(data, EVENT, "weight", 1);
    writeField(data, EVENT, "repeats", 1);
    writeField(data, EVENT, "rules_generation", 1);
    this.#text(EVENT.fields.comm.offset, "simulated");
    if (n < SIMULATED.SIMULATED_PROCESSES) this.#exec();
    else if (n % 64 === 0) this.#violation();
    else if (n % 4 === 2) this.#connect(n);
    else this.#open(n);
    return this.#record;
  }

  #finish(type: number, severity: number, { ring, payloadBytes }: { ring: SharedRing; payloadBytes: number }): void {
    writeField(this.#data, EVENT, "type", type);
    writeField(this.#data, EVENT, "severity", severity);
    writeField(this.#data, EVENT, "data_len", payloadBytes);
    writeField(this.#data, EVENT, "home_ring", ["critical", "normal", "debug"].indexOf(ring));
    this.#record.ring = ring;
    this.#record.lengthBytes = EVENT.size + payloadBytes;
  }

  #exec(): void {
    const filename = "/usr/bin/simulated";
    writeField(this.#data, EXEC_PAYLOAD, "ppid", 1, EVENT.size);
    writeField(this.#data, EXEC_PAYLOAD, "filename_len", filename.length, EVENT.size);
    this.#text(EVENT.size + EXEC_PAYLOAD.size, filename);
    this.#finish(EVENT_TYPE.EVENT_PROCESS_EXEC, SEVERITY.SEVERITY_INFO, {
      ring: "normal",
      payloadBytes: EXEC_PAYLOAD.size + filename.length,
    });
  }

  #violation(): void {
    writeField(this.#data, EVENT, "result", -BigInt(EPERM));
    writeField(this.#data, VIOLATION_PAYLOAD, "syscall", SYS_MOUNT, EVENT.size);
    this.#finish(EVENT_TYPE.EVENT_SECURITY_VIOLATION, SEVERITY.SEVERITY_CRITICAL, {
      ring: "critical",
      payloadBytes: VIOLATION_PAYLOAD.size,
    });
  }

  #connect(n: number): void {
    this.#bytes.set([192, 0, 2, n & 0xff], EVENT.size + CONNECT_PAYLOAD.fields.address.offset);
    writeField(this.#data, CONNECT_PAYLOAD, "family", AF_INET, EVENT.size);
    writeField(this.#data, CONNECT_PAYLOAD, "port", n % 3 === 0 ? 53 : 443, EVENT.size);
    writeField(this.#data, CONNECT_PAYLOAD, "fd", 4, EVENT.size);
    this.#finish(EVENT_TYPE.EVENT_NETWORK_CONNECT, SEVERITY.SEVERITY_INFO, {
      ring: "normal",
      payloadBytes: CONNECT_PAYLOAD.size,
    });
  }

  #open(n: number): void {
    const path = `/usr/share/simulated/00${String(Math.floor(n / 10) % 10)}${String(n % 10)}`;
    if (n % SIMULATED.SIMULATED_LOW_PID_ONE_IN === 5) {
      writeField(this.#data, EVENT, "pid", 1 + n % 99);
      writeField(this.#data, EVENT, "tid", 1 + n % 99);
    }
    writeField(this.#data, EVENT, "result", 3n);
    writeField(this.#data, OPEN_PAYLOAD, "dirfd", -100, EVENT.size);
    writeField(this.#data, OPEN_PAYLOAD, "syscall", SYS_OPENAT, EVENT.size);
    this.#text(EVENT.size + OPEN_PAYLOAD.size, path);
    this.#finish(EVENT_TYPE.EVENT_FILE_OPEN, SEVERITY.SEVERITY_DEBUG, {
      ring: "debug",
      payloadBytes: OPEN_PAYLOAD.size + path.length,
    });
  }

  #text(at: number, text: string): void {
    for (let i = 0; i < text.length; i++) this.#bytes[at + i] = text.charCodeAt(i);
  }
}
