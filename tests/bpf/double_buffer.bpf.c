// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Reads two lists whose values belong together, again and again, and counts what does not: for the test that flips them
 * meanwhile. Set k is 1 + k % LENGTH_MAX elements, all of them k, in both lists.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../../bpf/double_buffer.h"

#define LENGTH_MAX 8
/* Looks at the clock between two reads of a slow run: about a millisecond. */
#define SLOW_STEPS 30000

enum structure {
	LEFT = 0,
	RIGHT = 1,
};

/* Run after run, on one CPU at a time. */
struct findings {
	__u64 runs;
	__u64 mixed; /* two values that do not belong together */
	__u64 torn; /* a length that does not belong to the values */
	__u64 changes; /* runs that saw another set than the one before */
	__u64 last;
};

struct list {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
};

/* side -> list */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct list);
} left SEC(".maps"), right SEC(".maps");

/* side -> table of __u32 to __u64 */
struct table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 1);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct table);
} tables SEC(".maps");

/* side -> trie of a __u32 of bits and an IPv4 address to __u64 */
struct trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 2 * sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 1);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct trie);
} tries SEC(".maps");

/* The same lists changed in place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, LENGTH_MAX);
} naive_left SEC(".maps"), naive_right SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} naive_length SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct findings);
	__uint(max_entries, 1);
} results SEC(".maps");

struct double_buffer lists = {};

static __always_inline void judge(struct findings *findings, __u32 first, __u32 length, __u32 mixed)
{
	findings->mixed += mixed;
	if (length != 1 + first % LENGTH_MAX)
		findings->torn++;
	if (findings->last != first)
		findings->changes++;
	findings->last = first;
	__sync_fetch_and_add(&findings->runs, 1);
}

SEC("xdp")
int read_lists(struct xdp_md *ctx)
{
	__u32 side = double_buffer_side(&lists), first = 0, mixed = 0, zero = 0;
	struct findings *findings = bpf_map_lookup_elem(&results, &zero);

	if (!findings)
		return XDP_ABORTED;
	for (__u32 i = 0; i < LENGTH_MAX; i++) {
		__u32 *a = double_buffer_array_lookup(&lists, LEFT, &left, side, i);
		__u32 *b = double_buffer_array_lookup(&lists, RIGHT, &right, side, i);

		if (!a || !b) {
			mixed += (a != 0) != (b != 0);
			continue;
		}
		if (i == 0)
			first = *a;
		mixed += *a != first || *b != first;
	}
	judge(findings, first, double_buffer_length(&lists, RIGHT, side), mixed != 0);
	return XDP_PASS;
}

/* Takes so long that the side it reads would be filled again meanwhile, if userspace did not wait. */
SEC("xdp")
int read_slowly(struct xdp_md *ctx)
{
	__u32 side = double_buffer_side(&lists), zero = 0, first, *a, *b;
	struct findings *findings = bpf_map_lookup_elem(&results, &zero);

	if (!findings)
		return XDP_ABORTED;
	a = double_buffer_array_lookup(&lists, LEFT, &left, side, 0);
	if (!a)
		return XDP_ABORTED;
	first = *(volatile __u32 *)a;
	for (__u32 i = 0; i < SLOW_STEPS; i++)
		bpf_ktime_get_ns();
	b = double_buffer_array_lookup(&lists, RIGHT, &right, side, 0);
	judge(findings, first, double_buffer_length(&lists, RIGHT, side), !b || *(volatile __u32 *)b != first);
	return XDP_PASS;
}

SEC("xdp")
int read_naive(struct xdp_md *ctx)
{
	__u32 zero = 0, first = 0, mixed = 0;
	struct findings *findings = bpf_map_lookup_elem(&results, &zero);
	__u32 *length = bpf_map_lookup_elem(&naive_length, &zero);
	__u32 now;

	if (!findings || !length)
		return XDP_ABORTED;
	now = *(volatile __u32 *)length;
	for (__u32 i = 0; i < LENGTH_MAX; i++) {
		__u32 *a, *b, left_value, right_value;

		if (i >= now)
			break;
		a = bpf_map_lookup_elem(&naive_left, &i);
		b = bpf_map_lookup_elem(&naive_right, &i);
		if (!a || !b)
			return XDP_ABORTED;
		left_value = *(volatile __u32 *)a;
		right_value = *(volatile __u32 *)b;
		if (i == 0)
			first = left_value;
		mixed += left_value != first || right_value != first;
	}
	judge(findings, first, now, mixed != 0);
	return XDP_PASS;
}

/* What the program of a table finds: the key is in the frame's first bytes, the value goes into `last`. */
SEC("xdp")
int look_up(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	__u32 *frame = (void *)(long)ctx->data;
	__u32 side = double_buffer_side(&lists), zero = 0, key[2];
	struct findings *findings = bpf_map_lookup_elem(&results, &zero);
	__u64 *value;

	if ((void *)(frame + 3) > data_end || !findings)
		return XDP_ABORTED;
	key[0] = frame[1];
	key[1] = frame[2];
	value = frame[0] ? double_buffer_lpm_lookup(&tries, side, key) : double_buffer_hash_lookup(&tables, side, key);
	findings->last = value ? *value : 0;
	return value ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
