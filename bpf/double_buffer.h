/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Double-buffered maps: userspace fills the side that nobody reads, then flips one word, and every structure that
 * shares the word changes in the same instant. Needs linux/bpf.h and bpf/bpf_helpers.h before it, and nothing else of
 * ebpfmon. The other half is lib/ffi/double_buffer.ts; tests/bpf/double_buffer_example.bpf.c is a complete program.
 *
 * Contract:
 * - Read the side once a run, with double_buffer_side() or double_buffer_generation(), and use that value for every
 *   lookup and every length of the run. Reading it again may give the other side.
 * - A pointer into a side is good until the program returns. Userspace reuses a side only when each program that may
 *   have read the word before has returned: it waits for an RCU grace period. Sleepable programs are not waited for.
 * - Lookups return NULL for what is not there, as bpf_map_lookup_elem() does; an array's also beyond its length.
 * - `maps` is a BPF_MAP_TYPE_ARRAY_OF_MAPS of DOUBLE_BUFFER_SIDES slots, whose inner maps can be replaced by larger
 *   ones. An array that is to grow needs BPF_F_INNER_MAP (Linux 5.10). Where the size is fixed, two plain maps named
 *   NAME_side0 and NAME_side1 save the lookup in the outer one: DOUBLE_BUFFER_LOOKUP(NAME, side, key).
 */
#pragma once

#include <linux/types.h>

#define DOUBLE_BUFFER_SIDES 2
#define DOUBLE_BUFFER_STRUCTURES_MAX 8

/*
 * One for all structures that change together: a global variable, which libbpf puts into memory that userspace maps.
 * Programs only read it.
 */
struct double_buffer {
	__u32 generation; /* flips so far; the lowest bit is the active side */
	__u32 quiet_generation; /* the last one that every running program has seen, as far as userspace has waited */
	__u32 lock; /* not 0 while a writer fills the passive side */
	__u32 structures; /* in use, of those below */
	__u32 lengths[DOUBLE_BUFFER_STRUCTURES_MAX * DOUBLE_BUFFER_SIDES]; /* structure * sides + side -> entries */
};

/* How often userspace has flipped: names the set of values that this run sees. */
static __always_inline __u32 double_buffer_generation(const struct double_buffer *buffer)
{
	return *(const volatile __u32 *)&buffer->generation;
}

static __always_inline __u32 double_buffer_side(const struct double_buffer *buffer)
{
	return double_buffer_generation(buffer) & 1;
}

/* Entries of a structure. Belongs to the values of that side: it changes only while nobody can read them. */
static __always_inline __u32 double_buffer_length(const struct double_buffer *buffer, __u32 structure, __u32 side)
{
	if (structure >= DOUBLE_BUFFER_STRUCTURES_MAX)
		return 0;
	return *(const volatile __u32 *)&buffer->lengths[structure * DOUBLE_BUFFER_SIDES + (side & 1)];
}

/* The inner map of a side, for what the lookups below do not cover. */
static __always_inline void *double_buffer_map(void *maps, __u32 side)
{
	return bpf_map_lookup_elem(maps, &side);
}

/* An element of a double-buffered array. */
static __always_inline void *double_buffer_array_lookup(const struct double_buffer *buffer, __u32 structure, void *maps,
							__u32 side, __u32 index)
{
	void *map;

	if (index >= double_buffer_length(buffer, structure, side))
		return (void *)0;
	map = double_buffer_map(maps, side);
	return map ? bpf_map_lookup_elem(map, &index) : (void *)0;
}

/* The value of exactly this key. */
static __always_inline void *double_buffer_hash_lookup(void *maps, __u32 side, const void *key)
{
	void *map = double_buffer_map(maps, side);

	return map ? bpf_map_lookup_elem(map, key) : (void *)0;
}

/* The value of the longest prefix of `key`, which starts with its own length in bits as a __u32. */
static __always_inline void *double_buffer_lpm_lookup(void *maps, __u32 side, const void *key)
{
	return double_buffer_hash_lookup(maps, side, key);
}

/*
 * The same where the two sides are maps of their own. The empty statement keeps the compiler from making one call of
 * two: the kernel turns a lookup into instructions only where it knows the map.
 */
#define DOUBLE_BUFFER_LOOKUP(name, side, key)                                                                          \
	({                                                                                                             \
		void *__value;                                                                                         \
                                                                                                                       \
		if ((side)&1) {                                                                                        \
			__value = bpf_map_lookup_elem(&name##_side1, key);                                             \
			asm volatile("" : "+r"(__value));                                                              \
		} else {                                                                                               \
			__value = bpf_map_lookup_elem(&name##_side0, key);                                             \
		}                                                                                                      \
		__value;                                                                                               \
	})
