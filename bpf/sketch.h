/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What is kept of flows that found no room in their map. Read by lib/aggregate/flows/overflow.ts. Exact: packets and
 * bytes by source network. Estimated: any flow's packets and bytes, by a count-min sketch (Cormode and Muthukrishnan,
 * An improved data stream summary, 2005), which says how many but not of whom; and candidates, the flows that it is
 * worth asking about, chosen by majority vote in each set of slots (Boyer and Moore, 1981; in slots by hash: Tang,
 * Huang and Lee, MV-Sketch, 2019).
 *
 * Contract: a key is a multiple of 8 bytes, aligned to 8, no longer than struct flow6_key. The sketch is shared by all
 * CPUs and added to atomically, so that it never has less than a flow had; a conservative update would read four cells
 * before it writes one, and lose counts between CPUs. Candidates belong to one CPU, and count a flow from when it took
 * its slot, so that they never have more than it had.
 */
#pragma once

#include <stdbool.h>

#include <linux/types.h>

#include "flow.h"

enum count_min_shape {
	COUNT_MIN_ROWS = 4,
	COUNT_MIN_COLUMNS = 65536, /* 16 of the 64 bits of a hash choose the column, others in each row */
};

struct count_min_cell {
	__u64 packets;
	__u64 bytes;
};

struct count_min {
	struct count_min_cell cells[COUNT_MIN_ROWS][COUNT_MIN_COLUMNS];
};

enum candidate_shape {
	CANDIDATES = 4096, /* of a CPU and a side: 384 KiB */
	CANDIDATE_WAYS = 2, /* slots that a flow may have, side by side */
};

/* All zero: never taken. */
struct candidate {
	__u64 hash; /* of the flow, as the sketch has it */
	__u64 votes;
	__u64 packets; /* since it took the slot */
	__u64 bytes;
	__u64 first_seen_jiffies;
	__u64 last_seen_jiffies;
	__u8 key[sizeof(struct flow6_key)]; /* or a struct flow4_key, then zeros */
	__u8 family; /* 4 or 6 */
	__u8 tcp_flags;
	__u8 pad0[6];
};

struct candidates {
	struct candidate slots[CANDIDATES];
};

/* Source networks: IPv4 by /24, IPv6 by /48. */
enum prefix_bits {
	PREFIX4_BITS = 24,
	PREFIX6_BITS = 48,
};

struct prefix_key {
	__u8 address[6]; /* the rest of it is zero */
	__u8 family;
	__u8 direction; /* enum flow_direction */
	__u16 iface_slot;
	__u16 pad0;
};

struct prefix_value {
	__u64 packets;
	__u64 bytes;
};

/* Maps of a side that say when they have no room. */
enum full_map {
	FULL_FLOWS4 = 0,
	FULL_FLOWS6 = 1,
	FULL_PREFIXES = 2,
	FULL_MAPS = 4, /* of a side */
};

/* One packet, or the segments of one, of a flow without room. */
struct overflow_packet {
	__u64 packets;
	__u64 bytes;
	__u64 jiffies;
	__u8 family;
	__u8 tcp_flags;
};

/* Every bit of the key moves every bit of the hash; its end is fmix64 of MurmurHash3 (Appleby, public domain). */
static __always_inline __u64 hash_key(const __u64 *key, __u32 words, __u64 seed)
{
	__u64 hash = seed;

#pragma unroll
	for (__u32 i = 0; i < words; i++) {
		hash = (hash ^ key[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	hash *= 0xff51afd7ed558ccdULL;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53ULL;
	return hash ^ hash >> 33;
}

static __always_inline void count_min_add(struct count_min *sketch, __u64 hash, const struct overflow_packet *packet)
{
#pragma unroll
	for (int row = 0; row < COUNT_MIN_ROWS; row++) {
		struct count_min_cell *cell = &sketch->cells[row][(__u16)(hash >> 16 * row)];

		__atomic_fetch_add(&cell->packets, packet->packets, __ATOMIC_RELAXED);
		__atomic_fetch_add(&cell->bytes, packet->bytes, __ATOMIC_RELAXED);
	}
}

static __always_inline bool holds_key(const struct candidate *slot, __u64 hash, const __u64 *key, __u32 words)
{
	const __u64 *held = (const __u64 *)slot->key;
	__u64 difference = slot->hash ^ hash;

	if (difference)
		return false;
#pragma unroll
	for (__u32 i = 0; i < words; i++)
		difference |= held[i] ^ key[i];
	return !difference;
}

/* `weight`: packets or bytes, whichever flows are ranked by. */
static __always_inline void vote(struct candidates *table, __u64 hash, const __u64 *key, __u32 words, __u64 weight,
				 const struct overflow_packet *packet)
{
	/* Bits of a product, because all those of the hash choose columns. */
	__u32 set = (hash * 0x9e3779b97f4a7c15ULL >> 32) & (CANDIDATES / CANDIDATE_WAYS - 1);
	struct candidate *slot = &table->slots[set * CANDIDATE_WAYS];
	struct candidate *other = slot + 1;

	if (holds_key(other, hash, key, words) && other->family == packet->family)
		slot = other;
	if (holds_key(slot, hash, key, words) && slot->family == packet->family) {
		slot->votes += weight;
		slot->packets += packet->packets;
		slot->bytes += packet->bytes;
		slot->last_seen_jiffies = packet->jiffies;
		slot->tcp_flags |= packet->tcp_flags;
		return;
	}
	if (other->votes < slot->votes)
		slot = other;
	if (slot->votes >= weight) {
		slot->votes -= weight;
		return;
	}
	slot->hash = hash;
	slot->votes = weight - slot->votes;
	slot->packets = packet->packets;
	slot->bytes = packet->bytes;
	slot->first_seen_jiffies = packet->jiffies;
	slot->last_seen_jiffies = packet->jiffies;
	__builtin_memset(slot->key, 0, sizeof(slot->key));
#pragma unroll
	for (__u32 i = 0; i < words; i++)
		((__u64 *)slot->key)[i] = key[i];
	slot->family = packet->family;
	slot->tcp_flags = packet->tcp_flags;
}
