// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A thousand lookups a run: in a plain map, in two maps of fixed size, and in inner maps that can grow. Each lookup of
 * a double-buffered one reads the side anew, as a run with a single lookup would.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../../bpf/double_buffer.h"

#define ENTRIES 1024
#define LOOKUPS 1000

/* Structures of array_buffer; that of hash_buffer is 0. */
enum structure {
	ARRAYS = 0,
	FIXED = 1,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, ENTRIES);
} plain_array SEC(".maps"), fixed_side0 SEC(".maps"), fixed_side1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 131072);
} plain_hash SEC(".maps");

struct inner_array {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, ENTRIES);
};

/* side -> array */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct inner_array);
} arrays SEC(".maps");

struct inner_hash {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 1);
};

/* side -> hash */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct inner_hash);
} hashes SEC(".maps");

struct double_buffer array_buffer = {};
struct double_buffer hash_buffer = {};
__u64 sum = 0;

#define READ(name, lookup)                                                                                             \
	SEC("xdp")                                                                                                     \
	int read_##name(struct xdp_md *ctx)                                                                            \
	{                                                                                                              \
		__u64 total = 0;                                                                                       \
                                                                                                                       \
		for (__u32 i = 0; i < LOOKUPS; i++) {                                                                  \
			__u32 key = i;                                                                                 \
			__u64 *value = lookup;                                                                         \
                                                                                                                       \
			if (value)                                                                                     \
				total += *value;                                                                       \
		}                                                                                                      \
		sum = total;                                                                                           \
		return XDP_PASS;                                                                                       \
	}

READ(nothing, ((void)key, &sum))
READ(plain_array, bpf_map_lookup_elem(&plain_array, &key))
READ(fixed_array, DOUBLE_BUFFER_LOOKUP(fixed, double_buffer_side(&array_buffer), &key))
READ(inner_array, double_buffer_array_lookup(&array_buffer, ARRAYS, &arrays, double_buffer_side(&array_buffer), key))
READ(plain_hash, bpf_map_lookup_elem(&plain_hash, &key))
READ(inner_hash, double_buffer_hash_lookup(&hashes, double_buffer_side(&hash_buffer), &key))

char LICENSE[] SEC("license") = "GPL";
