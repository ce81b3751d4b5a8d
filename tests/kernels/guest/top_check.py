#!/usr/bin/env python3
"""
Compares what `ebpfmon top` counts with what programs know of themselves, on whichever kernel runs it, as root.

    top_check.py EBPFMON ACTOR ONE_CALL WAY

ACTOR and ONE_CALL are tests/support/syscall_actor.c and one_call.c, built as tests/support/processes.ts does. WAY is the
way of counting that this kernel is to have: "task storage", "hash" or "raw". Where it keeps calls in a hash, the hash is
read with bpftool, and has to hold one entry of each living thread that made a call, and none of any that has ended.
Prints a line a check, and ends with 0 when all of them hold.
"""
import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time

WAIT_S = 120
SLEEPERS = 20
BUSY_THREADS = 4
FORKS = 200

failures = 0


def check(what, found, expected):
    global failures
    holds = found == expected
    failures += not holds
    print(f"{'ok  ' if holds else 'FAIL'} {what}: {found}" + ("" if holds else f", not {expected}"), flush=True)


class Top:
    """A run of `top`, and all that it has printed."""

    def __init__(self, path):
        args = [path, "top", "--json", "--window", "1000", "--top", "1000"]
        self.objects = []
        self.child = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.objects.append(json.loads(line))

    def ready(self):
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self.child.poll() is None:
            for found in list(self.objects):
                if found["type"] == "ready":
                    return
            time.sleep(0.1)
        self.child.kill()
        sys.exit("FAIL top is not ready")

    def end(self):
        self.child.send_signal(signal.SIGINT)
        code = self.child.wait(WAIT_S)
        self.reader.join()
        return code

    def windows(self):
        return [found for found in self.objects if found["type"] == "processes"]

    def rows(self, pid):
        return [row for window in self.windows() for row in window["top"] if row["pid"] == pid]

    def calls(self, pid):
        """(name, table) -> [calls, errors] of one process, over all windows."""
        sums = collections.defaultdict(lambda: [0, 0])
        for row in self.rows(pid):
            for call in row["syscalls"]:
                found = sums[call["name"], call["abi"]]
                found[0] += call["calls"]
                found[1] += call["errors"]
        return sums


def run(*args):
    child = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    child.communicate()
    check(f"{' '.join(map(os.path.basename, args))} ends with", child.returncode, 0)
    return child.pid


def held():
    """Process number -> its entries in the hash of calls."""
    maps = json.loads(subprocess.check_output(["bpftool", "-j", "map", "show"]))
    ids = [found["id"] for found in maps if found.get("name") == "calls" and found["type"] == "hash"]
    if len(ids) != 1:
        sys.exit(f"FAIL there are {len(ids)} hashes of calls")
    entries = json.loads(subprocess.check_output(["bpftool", "-j", "map", "dump", "id", str(ids[0])]))
    # struct call: start_ns, then the key: started_ns, pid
    pids = [int.from_bytes(bytes(int(byte, 16) for byte in entry["value"][16:20]), "little") for entry in entries]
    return collections.Counter(pids)


def soon(question, expected):
    deadline = time.monotonic() + WAIT_S
    while (answer := question()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def check_hash(actor):
    sleepers = [subprocess.Popen(["sleep", "3600"]) for _ in range(SLEEPERS)]
    busy = subprocess.Popen([actor, "threads", str(BUSY_THREADS), "1000000000"])
    children = sleepers + [busy]

    def entries():
        found = held()
        return [found[child.pid] for child in children]

    expected = [1] * SLEEPERS + [BUSY_THREADS + 1]
    check("entries of living threads", soon(entries, expected), expected)
    for child in children:
        child.kill()
        child.wait()
    # The one that ran bpftool has ended since.
    ended = lambda: [pid for pid in held() if not os.path.exists(f"/proc/{pid}")]
    check("entries of threads that kill -9 ended", soon(lambda: sum(entries()), 0), 0)
    bpftool_itself = 1
    check("entries of processes that have ended, but for bpftool's", soon(lambda: len(ended()) <= bpftool_itself, True),
          True)


def main():
    ebpfmon, actor, one_call, way = sys.argv[1:]
    top = Top(ebpfmon)
    try:
        check_top(top, actor, one_call, way)
    finally:
        top.child.kill()
    sys.exit(failures > 0)


def check_top(top, actor, one_call, way):
    comm = os.path.basename(actor)[:15]
    top.ready()
    called = run(actor, "calls", "10000")
    threads = run(actor, "threads", "8", "2000")
    executed = run(actor, "exec", "300", actor, "calls", "700")
    from_thread = run(actor, "thread-exec", "300", actor, "calls", "700")
    tables = run(actor, "tables", "100")
    forks = run(actor, "forks", str(FORKS), one_call)
    if way != "task storage":
        check_hash(actor)
    time.sleep(2)
    check("top ends with", top.end(), 0)
    notices = [str(found) for found in top.objects if found["type"] == "alert"]
    check("a notice says that starts are unknown", any("start of a process" in text for text in notices), way == "raw")

    for window in top.windows():
        if not window["balanced"] or window["missed_runs"] or window["overflow_calls"]:
            check(f"window {window['sequence']}: balanced, missed runs, overflow",
                  [window["balanced"], window["missed_runs"], window["overflow_calls"]], [True, 0, 0])
    check("the summary is balanced", top.objects[-1].get("balanced"), True)

    calls = top.calls(called)
    check("getppid", calls["getppid", "native"], [10_000, 0])
    check("close that failed", calls["close", "native"][1], 10_000)  # what starts it closes descriptors before the exec
    check("names", {row["comm"] for row in top.rows(called)}, {comm})
    check("executables", {row.get("exe", actor) for row in top.rows(called)}, {os.path.realpath(actor)})
    check("starts are known", {row["started_ns"] is not None for row in top.rows(called)}, {way != "raw"})
    calls = top.calls(threads)
    check("getppid of threads", calls["getppid", "native"], [16_000, 0])
    for what, pid in (("an exec", executed), ("a thread's exec", from_thread)):
        calls = top.calls(pid)
        check(f"getppid before and after {what}", calls["getppid", "native"], [1_000, 0])
        # A row names its ten most frequent calls. The exec by the first thread alone would make it 1 where it is named.
        if ("execve", "native") in calls:
            check(f"execve of {what}", calls["execve", "native"][0], 2)
    if os.uname().machine == "x86_64":
        calls = top.calls(tables)
        found = [calls["getppid", "compat"], calls["getppid", "x32"][0], calls["no such syscall", "native"]]
        check("calls through other tables", found, [[100, 0], 200, [300, 300]])
    ended = [row for window in top.windows() for row in window["top"] if row["comm"] == os.path.basename(one_call)]
    check("short processes", sum(call["calls"] for row in ended for call in row["syscalls"] if call["name"] == "getppid"),
          FORKS)
    check("waits for them", top.calls(forks)["wait4", "native"], [FORKS, 0])


main()
