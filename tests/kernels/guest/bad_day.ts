/** Prefixes of a command that take something away from it and from nothing else. */

/** A mount namespace of its own, in which `script` has changed something, and then the command. */
function changed(script: string): string[] {
  return ["unshare", "--mount", "--propagation", "private", "bash", "-euc", `${script}; exec "$@"`, "bash"];
}

/** An empty file where each libbpf of the system is: the loader refuses it. */
export const WITHOUT_LIBBPF = changed(
  "for library in /usr/lib/*/libbpf.so.1*; do [ -L $library ] || mount --bind /dev/null $library; done",
);

/** No BPF file system, no tracefs or debugfs, and a kernel that does not tell of its JIT. */
export const WITHOUT_MOUNTS = changed(
  "mkdir -p /tmp/empty; " +
    "for folder in /sys/fs/bpf /sys/kernel/tracing /sys/kernel/debug; do mount --bind /tmp/empty $folder; done; " +
    "mount -t tmpfs none /proc/sys/net/core",
);

/** A kernel without BTF, as far as anybody can see. */
export const WITHOUT_BTF = changed("mkdir -p /tmp/empty; mount --bind /tmp/empty /sys/kernel/btf");

/** May lock 64 KiB, and not raise that: before Linux 5.11 maps count against it. */
export const WITH_LITTLE_MEMLOCK = [
  ...["prlimit", "--memlock=65536:65536"],
  ...["setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"],
];
