// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Adds to a value of a map that userspace puts in the place of `target`: what userspace alone cannot do without losing
 * what others add between its read and its write. Attached to nothing; run by BPF_PROG_TEST_RUN, on XDP because that
 * runs on any kernel with test runs (programs of type syscall came with Linux 5.14).
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "map_entry.h"

/* any key of up to MAP_ENTRY_KEY_MAX_BYTES -> u64 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, MAP_ENTRY_KEY_MAX_BYTES);
	__uint(value_size, sizeof(__u64));
} target SEC(".maps");

/* Returns 0, 1 for a request that is too short, or -errno of making the entry. */
SEC("xdp")
int map_entry_add(struct xdp_md *ctx)
{
	struct map_entry_request *request = (void *)(long)ctx->data;
	__u8 key[MAP_ENTRY_KEY_MAX_BYTES];
	__u64 *value, delta;
	long error;

	if ((void *)(request + 1) > (void *)(long)ctx->data_end)
		return 1;
	__builtin_memcpy(key, request->key, sizeof(key));
	delta = request->delta;
	value = bpf_map_lookup_elem(&target, key);
	if (!value) {
		error = bpf_map_update_elem(&target, key, &delta, BPF_NOEXIST);
		if (!error)
			return 0;
		/* Somebody else was faster, or there is no room. */
		value = bpf_map_lookup_elem(&target, key);
		if (!value)
			return error;
	}
	__atomic_fetch_add(value, delta, __ATOMIC_RELAXED);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
