#!/usr/bin/env python3
"""Checks `ebpfmon events` on the running kernel, field by field: for a guest, as root.

    events_check.py EBPFMON btf|raw

`raw` hides the kernel's BTF first, so that the programs without it are used. Real processes exec, exit, open, connect,
are denied, meet limits, and are killed for want of memory; the script also makes 32-bit system calls, which must not be
taken for others. Prints a line a check; exits 1 when one fails.
"""
import ctypes
import ctypes.util
import json
import mmap
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

EBPFMON, MODE = sys.argv[1], sys.argv[2]
RAW = MODE == "raw"
X86 = platform.machine() == "x86_64"
READY_S, DURATION_S = 240, 600
CGROUPS = "/sys/fs/cgroup"
UID_NOBODY = 65534

failures = []
WORK = tempfile.mkdtemp(prefix="ebpfmon-")
os.chmod(WORK, 0o755)


def check(name, found, wanted=True):
    good = found == wanted
    print(("ok    " if good else "FAIL  ") + name + ("" if good else f": {found!r}, wanted {wanted!r}"), flush=True)
    if not good:
        failures.append(name)


def hide_btf():
    empty = tempfile.mkdtemp()
    subprocess.run(["mount", "--bind", empty, "/sys/kernel/btf"], check=True)
    assert not os.path.exists("/sys/kernel/btf/vmlinux")


class Monitor:
    """`ebpfmon events`, and what it has said so far."""

    def __init__(self):
        command = [EBPFMON, "events", "--json", "--duration", str(DURATION_S), "--listen", "off", "--rate-limit", "0",
                   "--no-repeat-suppression"]
        self.lines = []
        self.stderr = open(f"{WORK}/stderr", "w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.stderr, text=True)
        self.is_ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.is_ready.wait(READY_S)

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1]["type"] == "ready":
                self.is_ready.set()
        self.is_ready.set()

    def finish(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)
        self.reader.join(60)

    def of(self, pid, event):
        return [it for it in self.lines if it["type"] == "event" and it.get("pid") == pid and it["event"] == event]


def child(action):
    """Runs `action` in a process of its own; returns its pid and how it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return pid, os.waitpid(pid, 0)[1]


def elf32(path):
    """A 32-bit program that does nothing but exit(0)."""
    code = bytes.fromhex("b801000000" "31db" "cd80")
    entry = 0x08048000 + 84
    header = struct.pack("<4sBBBBB7xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 0, 0, 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    size = 84 + len(code)
    segment = struct.pack("<IIIIIIII", 1, 0, 0x08048000, 0x08048000, size, size, 5, 0x1000)
    with open(path, "wb") as file:
        file.write(header + segment + code)
    os.chmod(path, 0o755)


def foreign_calls():
    """Makes i386 calls whose numbers are openat's (257), connect's (42) and execve's (59) on x86_64."""
    low = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    code = b"\x53\x56\x89\xf8\x31\xdb\x31\xc9\x31\xd2\xcd\x80\x5e\x5b\xc3"  # eax = edi; ebx = ecx = edx = 0; int 0x80
    low.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(low)))
    # EINVAL of remap_file_pages(): as openat() the same registers would give EFAULT.
    if call(257) != -22:
        os._exit(1)
    for number in (42, 59):
        call(number)


def main():
    if RAW:
        hide_btf()
    subprocess.run(["mount", "-t", "tracefs", "none", "/sys/kernel/tracing"], stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    has_memory = prepare_cgroups()
    started = time.time()
    monitor = Monitor()
    ready = [it for it in monitor.lines if it["type"] == "ready"]
    print(f"ready after {time.time() - started:.0f} s", [it.get("sources") for it in ready], flush=True)
    if not ready:
        monitor.process.kill()
        print(open(monitor.stderr.name).read())
        sys.exit("ebpfmon did not start")
    check("every source is watched", sorted(ready[0]["sources"]), sorted([
        "process_exec", "process_exit", "file_open", "network_connect", "tcp_state", "security_violation",
        "resource_limit"]))

    # Exec and exit.
    exec_environment = {f"V{i}": "x" * 20 for i in range(100)}
    done = subprocess.Popen(["/bin/false", "two words", ""], env=exec_environment)
    done.wait()
    bare = subprocess.Popen(["/bin/true", "only"], env={})
    bare.wait()
    killed, _ = child(lambda: os.kill(os.getpid(), signal.SIGKILL))
    small = f"{WORK}/small32"
    elf32(small)
    try:
        narrow = subprocess.Popen([small, "narrow one", "b"])
        narrow.wait()
    except OSError:
        narrow = None

    # Opens.
    file = f"{WORK}/file"

    def opens():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            os.open(f"{WORK}/missing", os.O_RDONLY)
        except OSError:
            pass

    opener, _ = child(opens)

    # Connects.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def connects():
        socket.create_connection(("127.0.0.1", port)).close()
        try:
            socket.socket(socket.AF_INET6).connect(("::1", 9))
        except OSError:
            pass
        try:
            socket.socket(socket.AF_UNIX).connect("/nonexistent/socket")
        except OSError:
            pass

    connector, _ = child(connects)
    listener.accept()[0].close()

    # Refusals and limits.
    secret = f"{WORK}/secret"
    with open(secret, "w"):
        os.chmod(secret, 0)

    def denied():
        os.setresuid(UID_NOBODY, UID_NOBODY, UID_NOBODY)
        try:
            os.open(secret, os.O_RDONLY)
        except OSError:
            pass

    refused, _ = child(denied)

    def limited():
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        try:
            os.open("/dev/null", os.O_RDONLY)
        except OSError:
            pass

    limited_pid, _ = child(limited)
    foreign, status = child(foreign_calls) if X86 else (0, 0)
    check("32-bit calls are what they were meant to be", status, 0)

    own_victim, other_victim, known_victim = out_of_memory() if has_memory else (None, None, None)
    time.sleep(5)
    monitor.finish()
    check("ebpfmon ends with", monitor.process.returncode, 0)
    print(open(monitor.stderr.name).read().strip(), flush=True)

    def fields(event, *names):
        return {name: event.get(name, "absent") for name in names}

    def one(pid, event, name, wanted):
        found = [it for it in monitor.of(pid, event)]
        check(f"{event} {name}", [fields(it, *wanted) for it in found], [wanted])

    parent = "absent" if RAW else os.getpid()
    common = {"severity": "critical", "uid": 0, "result": 0, "ppid": parent, "argv_truncated": False}
    one(done.pid, "process_exec", "with an environment", {
        **common, "comm": "false", "filename": "/bin/false", "argv": ["/bin/false", "two words", ""]})
    one(bare.pid, "process_exec", "without an environment", {
        **common, "comm": "true", "filename": "/bin/true", "argv": ["/bin/true", "only"]})
    if narrow:
        one(narrow.pid, "process_exec", "of a 32-bit program", {
            **common, "comm": "small32", "filename": small, "argv": [small, "narrow one", "b"]})
    code = lambda exit_code, number: ({"exit_code": "absent", "signal": "absent"} if RAW else
                                      {"exit_code": exit_code, "signal": number})
    one(done.pid, "process_exit", "with a code", {"severity": "debug", "uid": 0, "comm": "false", **code(1, 0)})
    one(killed, "process_exit", "by a signal", {"severity": "debug", "uid": 0, **code(0, 9)})

    found = [fields(it, "path", "flags", "syscall", "result", "uid", "severity") for it in monitor.of(opener, "file_open")
             if it["path"].startswith(WORK)]
    check("file_open", found[:1] and {**found[0], "result": found[0]["result"] >= 0}, {
        "path": file, "flags": os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, "syscall": "openat", "result": True, "uid": 0,
        "severity": "debug"})
    check("file_open that fails", found[1:], [{
        "path": f"{WORK}/missing", "flags": os.O_CLOEXEC, "syscall": "openat", "result": -2, "uid": 0,
        "severity": "debug"}])

    found = [fields(it, "family", "address", "port", "result", "uid") for it in monitor.of(connector, "network_connect")]
    check("network_connect", found, [
        {"family": "ipv4", "address": "127.0.0.1", "port": port, "result": 0, "uid": 0},
        {"family": "ipv6", "address": "::1", "port": 9, "result": found[1]["result"] if len(found) > 1 else None, "uid": 0},
        {"family": "unix", "address": "/nonexistent/socket", "port": 0, "result": -2, "uid": 0}])
    states = [it for it in monitor.of(connector, "tcp_state") if it["dport"] == port]
    check("tcp_state", [(it["old_state"], it["new_state"]) for it in states[:3]], [
        ("CLOSE", "SYN_SENT"), ("SYN_SENT", "ESTABLISHED"), ("ESTABLISHED", "FIN_WAIT1")])
    check("tcp_state addresses", [fields(it, "family", "src", "dst", "dport", "uid") for it in states[1:2]], [
        {"family": "ipv4", "src": "127.0.0.1", "dst": "127.0.0.1", "dport": port, "uid": 0}])
    six = [it for it in monitor.of(connector, "tcp_state") if it["family"] == "ipv6" and it["dport"] == 9]
    check("tcp_state of IPv6", [fields(it, "src", "dst") for it in six[-1:]], [{"src": "::1", "dst": "::1"}])

    # Giving root up is no violation; becoming nobody is no setuid to root.
    one(refused, "security_violation", "denied", {
        "kind": "denied", "syscall": "openat", "detail": secret, "uid": UID_NOBODY, "result": -13, "error": "EACCES",
        "severity": "critical"})
    found = [fields(it, "kind", "syscall", "detail", "result", "error", "severity")
             for it in monitor.of(limited_pid, "resource_limit")]
    check("resource_limit", found[:1], [{
        "kind": "emfile", "syscall": "openat", "detail": "/dev/null", "result": -24, "error": "EMFILE",
        "severity": "error"}])
    if X86:
        wrong = [it for event in ("file_open", "network_connect", "process_exec", "security_violation")
                 for it in monitor.of(foreign, event) if not it.get("path", "").startswith("/")]
        check("32-bit calls are not taken for others", wrong, [])

    if has_memory:
        for name, victim in (("its own", own_victim), ("another's", other_victim), ("a known one's", known_victim)):
            found = [it for it in monitor.of(victim, "resource_limit") if it["kind"] == "oom_victim"]
            shown = [fields(it, "pid", "uid", "comm", "syscall", "severity") for it in found]
            print("      victim", name, [fields(it, "pid", "tid", "uid", "comm", "cgroup_id") for it in found])
            wanted = {"pid": victim, "uid": 1234 if name == "a known one's" else 0, "syscall": "", "severity": "error",
                      "comm": "hog" if name == "a known one's" else "python3"}
            if name == "another's":
                # Nothing but its number is known where the kernel tells no more: then nothing else may be said.
                wanted.update({key: value for key, value in (shown[0] if shown else {}).items()
                               if key in ("uid", "comm") and value == "absent"})
            check(f"out of memory, {name}", shown, [wanted])
            cgroups = {it.get("cgroup_id", "absent") for it in found}
            check(f"out of memory, {name}, cgroup", cgroups <= {os.stat(f"{CGROUPS}/oom").st_ino, "absent"})

    summary = [it for it in monitor.lines if it["type"] == "summary"]
    check("one summary", len(summary), 1)
    rings = summary[0]["rings"]
    check("submitted = consumed in every ring", [it["submitted"] - it["consumed"] for it in rings], [0] * len(rings))
    check("no failures, no drops", [(it["failures"], it["dropped"]) for it in rings], [(0, 0)] * len(rings))
    records = summary[0]["records"]
    check("records = consumed", records, sum(it["consumed"] for it in rings))
    check("records = events by type", records, sum(it["records"] for it in summary[0]["events"]))
    check("records = lines", records, len([it for it in monitor.lines if it["type"] == "event"]))


def prepare_cgroups():
    if not os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        subprocess.run(["mount", "-t", "cgroup2", "none", CGROUPS], check=True)
    try:
        with open(f"{CGROUPS}/cgroup.subtree_control", "w") as file:
            file.write("+memory")
        os.makedirs(f"{CGROUPS}/oom", exist_ok=True)
        with open(f"{CGROUPS}/oom/memory.max", "w") as file:
            file.write(str(96 << 20))
        swap = f"{CGROUPS}/oom/memory.swap.max"
        if os.path.exists(swap):
            with open(swap, "w") as file:
                file.write("0")
        return True
    except OSError as error:
        print("no memory cgroup:", error)
        return False


def enter_cgroup():
    with open(f"{CGROUPS}/oom/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))


def out_of_memory():
    """Three victims: one that asks for memory itself, one while another process asks, and one whose exec was seen."""

    def grow():
        enter_cgroup()
        kept = []
        while True:
            kept.append(b"x" * (1 << 20))

    own, status = child(grow)
    check("the first victim was killed", os.WTERMSIG(status), signal.SIGKILL)

    other = victim_beside(lambda: None)
    # A program of its own name and user, which the monitor has seen start.
    hog = f"{WORK}/hog"
    os.symlink(sys.executable, hog)
    known = victim_beside(lambda: os.execv(hog, [hog, "-c", HOG, f"{WORK}/grown"]))
    return own, other, known


HOG = """
import os, sys, time
with open("/sys/fs/cgroup/oom/cgroup.procs", "w") as file: file.write(str(os.getpid()))
os.setresuid(1234, 1234, 1234)
kept = b"x" * (60 << 20)
try: os.open("/nonexistent/hog", 0)
except OSError: pass
print("grown", flush=True)
time.sleep(1000)
"""


def victim_beside(start):
    """The largest process of a cgroup is the victim, whoever asks for memory. Returns its pid."""
    ends = os.pipe()
    victim = os.fork()
    if victim == 0:
        os.dup2(ends[1], 1)
        start()
        enter_cgroup()
        kept = b"x" * (60 << 20)
        os.write(1, b"grown\n")
        time.sleep(1000)
        os._exit(len(kept) & 1)
    os.read(ends[0], 6)
    time.sleep(3)

    def ask():
        enter_cgroup()
        kept = []
        for _ in range(50):
            kept.append(b"x" * (1 << 20))
            time.sleep(0.01)

    child(ask)
    _, status = os.waitpid(victim, 0)
    check("the largest process was killed", os.WTERMSIG(status), signal.SIGKILL)
    return victim


main()
print("failed:", failures if failures else "nothing")
sys.exit(1 if failures else 0)
