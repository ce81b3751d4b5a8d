/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where flow.bpf.c counts a packet whose flow found no room: maps and how they are filled; sketch.h says what is in
 * them. All of them have two sides, which change with the flow maps. Exactly: overflow = sum over overflow_prefixes +
 * packet_counters.rest, which takes what found no room among the prefixes either.
 */
#pragma once

#include <linux/errno.h>

#include "double_buffer.h"
#include "sketch.h"

/* struct prefix_key -> struct prefix_value; userspace sets max_entries */
struct prefix_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct prefix_key);
	__type(value, struct prefix_value);
	__uint(max_entries, 1);
};

struct prefix_map overflow_prefixes_side0 SEC(".maps");
struct prefix_map overflow_prefixes_side1 SEC(".maps");

/* side -> sketch, 4 MiB */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct count_min);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
} overflow_sketches SEC(".maps");

/* side * CPUs + CPU -> candidates; userspace sets max_entries */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct candidates);
	__uint(max_entries, 1);
} overflow_candidates SEC(".maps");

/* Nobody outside can tell which flows share a cell. */
const volatile __u64 hash_seed = 0;
const volatile bool candidates_by_bytes = false;

/*
 * side * FULL_MAPS + map -> not 0 once that map had no room. It has none until userspace has drained the side, which
 * resets this: what is not in it need not be tried, under a bucket's lock and across the CPUs' free lists.
 */
__u32 map_full[DOUBLE_BUFFER_SIDES * FULL_MAPS] = {};

static __always_inline bool is_full(__u32 side, enum full_map map)
{
	return *(volatile __u32 *)&map_full[(side & 1) * FULL_MAPS + map];
}

static __always_inline void note_full(__u32 side, enum full_map map)
{
	*(volatile __u32 *)&map_full[(side & 1) * FULL_MAPS + map] = 1;
}

/* False when there is no room for another prefix. */
static __always_inline bool count_prefix(__u32 side, const struct prefix_key *key, const struct overflow_packet *packet)
{
	struct prefix_value fresh = { .packets = packet->packets, .bytes = packet->bytes };
	struct prefix_value *value;

	value = DOUBLE_BUFFER_LOOKUP(overflow_prefixes, side, key);
	if (!value) {
		long error;

		if (is_full(side, FULL_PREFIXES))
			return false;
		error = side & 1 ? bpf_map_update_elem(&overflow_prefixes_side1, key, &fresh, BPF_NOEXIST)
				 : bpf_map_update_elem(&overflow_prefixes_side0, key, &fresh, BPF_NOEXIST);
		if (!error)
			return true;
		if (error == -E2BIG)
			note_full(side, FULL_PREFIXES);
		/* Another CPU was first, or the map is full. */
		value = DOUBLE_BUFFER_LOOKUP(overflow_prefixes, side, key);
		if (!value)
			return false;
	}
	__atomic_fetch_add(&value->packets, packet->packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&value->bytes, packet->bytes, __ATOMIC_RELAXED);
	return true;
}

static __always_inline void estimate_flow(__u32 side, const __u64 *key, __u32 words,
					  const struct overflow_packet *packet)
{
	__u32 table_index = (side & 1) * cpus + bpf_get_smp_processor_id();
	__u64 hash = hash_key(key, words, hash_seed);
	struct candidates *table;
	struct count_min *sketch;

	sketch = bpf_map_lookup_elem(&overflow_sketches, &side);
	if (sketch)
		count_min_add(sketch, hash, packet);
	table = bpf_map_lookup_elem(&overflow_candidates, &table_index);
	if (table)
		vote(table, hash, key, words, candidates_by_bytes ? packet->bytes : packet->packets, packet);
}

/*
 * Counts a packet by its source network and estimates its flow. A function of its own, because a packet of a known flow
 * should not pay for its registers. False when the network found no room; the caller uses the result, or the compiler
 * leaves the register undefined, which the verifier refuses.
 */
static __noinline bool count_overflow(__u32 side, const struct packet *pkt, const struct overflow_packet *packet)
{
	struct prefix_key prefix = { .family = packet->family };

	if (packet->family == 4) {
		__builtin_memcpy(prefix.address, &pkt->key4.src, PREFIX4_BITS / 8);
		prefix.direction = pkt->key4.direction;
		prefix.iface_slot = pkt->key4.iface_slot;
		estimate_flow(side, (const __u64 *)&pkt->key4, sizeof(pkt->key4) / 8, packet);
	} else {
		__builtin_memcpy(prefix.address, pkt->key6.src, PREFIX6_BITS / 8);
		prefix.direction = pkt->key6.direction;
		prefix.iface_slot = pkt->key6.iface_slot;
		estimate_flow(side, (const __u64 *)&pkt->key6, sizeof(pkt->key6) / 8, packet);
	}
	return count_prefix(side, &prefix, packet);
}
