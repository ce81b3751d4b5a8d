/** What ./ebpfmon may do, however it is packed. Never `--allow-run`: nothing it does needs another program. */
export const PERMISSIONS = [
  "--allow-ffi", // libbpf and libc
  "--allow-read", // interfaces, processes, captures, configuration
  "--allow-write", // the history's database, the agent's spool
  "--allow-env", // NO_COLOR and its kin
  "--allow-net", // metrics, exporters, the fleet
  "--allow-sys", // host name, network interfaces
];
