/**
 * The part of libbpf's interface that ebpfmon uses, with the C declaration beside each symbol. Unless said otherwise an
 * int result is 0 or a descriptor, or -errno (libbpf 1.0 and later). libbpf 1.1, as in Debian 12, is the floor.
 */
export const LIBBPF_SYMBOLS = {
  libbpf_version_string: { parameters: [], result: "pointer" }, // const char *(void)
  libbpf_set_print: { parameters: ["pointer"], result: "pointer" }, // libbpf_print_fn_t (libbpf_print_fn_t fn)
  libbpf_num_possible_cpus: { parameters: [], result: "i32" },
  libbpf_probe_bpf_helper: { parameters: ["i32", "i32", "pointer"], result: "i32" }, // 1 yes, 0 no (prog, helper, opts)

  // struct bpf_object *(const void *buf, size_t size, const struct bpf_object_open_opts *opts); NULL and errno
  bpf_object__open_mem: { parameters: ["buffer", "usize", "buffer"], result: "pointer" },
  bpf_object__load: { parameters: ["pointer"], result: "i32" },
  bpf_object__close: { parameters: ["pointer"], result: "void" },
  bpf_object__find_map_by_name: { parameters: ["pointer", "buffer"], result: "pointer" },
  bpf_object__find_program_by_name: { parameters: ["pointer", "buffer"], result: "pointer" },
  bpf_object__next_program: { parameters: ["pointer", "pointer"], result: "pointer" }, // (obj, previous or NULL)
  bpf_program__name: { parameters: ["pointer"], result: "pointer" }, // const char *
  bpf_program__fd: { parameters: ["pointer"], result: "i32" },
  bpf_program__set_autoload: { parameters: ["pointer", "bool"], result: "i32" },
  bpf_map__fd: { parameters: ["pointer"], result: "i32" },
  bpf_map__type: { parameters: ["pointer"], result: "u32" },
  bpf_map__key_size: { parameters: ["pointer"], result: "u32" },
  bpf_map__value_size: { parameters: ["pointer"], result: "u32" },
  bpf_map__max_entries: { parameters: ["pointer"], result: "u32" },
  bpf_map__set_max_entries: { parameters: ["pointer", "u32"], result: "i32" },
  bpf_map__reuse_fd: { parameters: ["pointer", "i32"], result: "i32" },
  bpf_map__set_inner_map_fd: { parameters: ["pointer", "i32"], result: "i32" },
  bpf_map__initial_value: { parameters: ["pointer", "buffer"], result: "pointer" }, // void *(map, size_t *size)

  // int (enum bpf_map_type, const char *name, __u32 key, __u32 value, __u32 max_entries, opts)
  bpf_map_create: { parameters: ["i32", "buffer", "u32", "u32", "u32", "buffer"], result: "i32" },
  // The same call off this thread: the kernel fills a large map's free list, which takes tens of milliseconds.
  bpf_map_create_async: {
    name: "bpf_map_create",
    parameters: ["i32", "buffer", "u32", "u32", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  bpf_map_lookup_elem: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  bpf_map_update_elem: { parameters: ["i32", "buffer", "buffer", "u64"], result: "i32" },
  // The same call off this thread: into a map of maps, it waits for an RCU grace period.
  bpf_map_update_elem_async: {
    name: "bpf_map_update_elem",
    parameters: ["i32", "buffer", "buffer", "u64"],
    result: "i32",
    nonblocking: true,
  },
  bpf_map_delete_elem: { parameters: ["i32", "buffer"], result: "i32" },
  bpf_map_lookup_and_delete_elem: { parameters: ["i32", "buffer", "buffer"], result: "i32" }, // queue: key NULL
  bpf_map_get_next_key: { parameters: ["i32", "buffer", "buffer"], result: "i32" }, // key NULL: the first
  // int (int fd, void *in_batch, void *out_batch, void *keys, void *values, __u32 *count, opts)
  bpf_map_lookup_and_delete_batch: {
    parameters: ["i32", "buffer", "buffer", "buffer", "buffer", "buffer", "pointer"],
    result: "i32",
  },
  bpf_map_lookup_batch: {
    parameters: ["i32", "buffer", "buffer", "buffer", "buffer", "buffer", "pointer"],
    result: "i32",
  },
  // int (int fd, const void *keys, const void *values, __u32 *count, opts)
  bpf_map_update_batch: { parameters: ["i32", "buffer", "buffer", "buffer", "pointer"], result: "i32" },
  bpf_map_get_fd_by_id: { parameters: ["u32"], result: "i32" },
  bpf_obj_get_info_by_fd: { parameters: ["i32", "buffer", "buffer"], result: "i32" }, // (fd, info, __u32 *len)
  bpf_prog_get_fd_by_id: { parameters: ["u32"], result: "i32" },
  bpf_prog_test_run_opts: { parameters: ["i32", "buffer"], result: "i32" },
  // The same call off the main thread: live frames run for as long as `repeat` says.
  bpf_prog_test_run_opts_async: {
    name: "bpf_prog_test_run_opts",
    parameters: ["i32", "buffer"],
    result: "i32",
    nonblocking: true,
  },

  bpf_link_create: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" }, // (prog, target, attach type, opts)
  bpf_iter_create: { parameters: ["i32"], result: "i32" }, // int (int link_fd): a descriptor to read from
  bpf_link_detach: { parameters: ["i32"], result: "i32" },
  bpf_link_get_fd_by_id: { parameters: ["u32"], result: "i32" },
  bpf_link_get_next_id: { parameters: ["u32", "buffer"], result: "i32" },
  bpf_program__attach: { parameters: ["pointer"], result: "pointer" }, // struct bpf_link *; NULL and errno
  bpf_link__destroy: { parameters: ["pointer"], result: "i32" },
  bpf_xdp_query_id: { parameters: ["i32", "i32", "buffer"], result: "i32" }, // (ifindex, flags, __u32 *prog_id)
  bpf_xdp_detach: { parameters: ["i32", "u32", "pointer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
