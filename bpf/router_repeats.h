/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Repeat suppression: a record that is the same as one of the last second is counted in that one's slot instead of
 * being sent, and a single record stands for all of them later.
 *
 * Contract: held_as_repeat() may be called for one program only, which sets scratch->in_repeats meanwhile: the slots
 * belong to that program, and flush_repeat() must not interrupt it. Loops run over constants, and each is in a function
 * that the verifier checks once, on its own: inline, the states of the loops would multiply.
 */
#pragma once

#include "router_rings.h"

/* Records up to this size can be held back as repeats; a power of two, 256 of them a CPU. */
#define REPEAT_MAX_BYTES 512
#define REPEAT_SLOTS 256
#define REPEAT_WINDOW_NS NS_PER_S

/* A record whose repeats are held back: since when, how many, and when the first and the last of them happened. */
struct repeat {
	union {
		struct event event;
		__u64 words[REPEAT_MAX_BYTES / 8];
	};
	__u64 since_ns;
	__u64 first_ns;
	__u64 last_ns;
	__u64 held;
};

/* some bits of the payload hash -> the event whose repeats are held back */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct repeat);
	__uint(max_entries, REPEAT_SLOTS);
} repeats SEC(".maps");

/*
 * Sends one record for the repeats in a slot, if they are held back since `since_max_ns` or longer. It is a global
 * function, as others here are: the verifier checks each once, on its own; inline, the states of their loops multiply.
 */
__noinline int flush_repeat(__u32 program, __u32 slot, __u64 since_max_ns)
{
	struct router_counters *count = counters_of(program);
	struct repeat *repeat = bpf_map_lookup_elem(&repeats, &slot);
	struct event *event;

	if (!count || !repeat || !repeat->held || repeat->since_ns > since_max_ns)
		return 0;
	event = &repeat->event;
	event->ts_ns = repeat->last_ns;
	event->first_ns = repeat->first_ns;
	event->repeats = repeat->held;
	event->weight = 1;
	event->flags = (event->flags & ~(EVENT_SAMPLED | EVENT_SPILLED)) | EVENT_REPEATED;
	repeat->held = 0;
	count->flushed++;
	submit(event, count, REPEAT_MAX_BYTES - sizeof(*event));
	return 0;
}

/* Adds a word to a hash. */
static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* Hashes the payload into event.payload_hash. Returns 0 for a record that is too large for a slot. */
__noinline int hash_payload(__u32 program)
{
	struct scratch *scratch = scratch_of(program);
	__u64 hash = hash_seed;
	struct event *event;
	__u32 data_len;

	if (!scratch)
		return 0;
	event = &scratch->event;
	data_len = event->data_len;
	if (data_len > REPEAT_MAX_BYTES - sizeof(*event))
		return 0;
	/* The last word may hold bytes of an earlier, longer payload. */
	for (__u32 i = 0; i < 8; i++)
		scratch->payload[data_len + i] = 0;
	/* A file that opens as another descriptor is the same event; one that fails otherwise is not. */
	hash = mix(hash, event->result < 0 ? event->result : 0);
	hash = mix(hash, (__u64)event->pid << 32 | event->type << 8 | event->severity);
	for (__u32 i = 0; i < (REPEAT_MAX_BYTES - sizeof(*event)) / 8 && i * 8 < data_len; i++)
		hash = mix(hash, ((__u64 *)scratch->payload)[i]);
	event->payload_hash = hash | 1;
	return 1;
}

/* Keeps the record in a slot, to hold back its repeats from now on. */
__noinline int keep_record(__u32 program, __u32 slot)
{
	struct repeat *repeat = bpf_map_lookup_elem(&repeats, &slot);
	struct scratch *scratch = scratch_of(program);
	__u32 record_len;

	if (!scratch || !repeat)
		return 0;
	record_len = sizeof(struct event) + scratch->event.data_len;
	for (__u32 i = 0; i < REPEAT_MAX_BYTES / 8 && i * 8 < record_len; i++)
		repeat->words[i] = ((__u64 *)scratch)[i];
	repeat->since_ns = scratch->event.ts_ns;
	return 0;
}

/* True when the record repeats one of the last second and was counted in that record's slot; it is not sent then. */
static __always_inline bool held_as_repeat(__u32 program, struct scratch *scratch, struct router_counters *count)
{
	struct event *event = &scratch->event;
	struct repeat *repeat;
	__u32 slot;

	if (!hash_payload(program))
		return false;
	slot = event->payload_hash >> 32 & (REPEAT_SLOTS - 1);
	repeat = bpf_map_lookup_elem(&repeats, &slot);
	if (!repeat)
		return false;
	if (repeat->event.payload_hash == event->payload_hash && repeat->event.pid == event->pid &&
	    repeat->event.type == event->type && event->ts_ns - repeat->since_ns < REPEAT_WINDOW_NS) {
		if (!repeat->held)
			repeat->first_ns = event->ts_ns;
		repeat->last_ns = event->ts_ns;
		repeat->held++;
		count->repeats_held++;
		return true;
	}
	flush_repeat(program, slot, ~0ULL);
	keep_record(program, slot);
	return false;
}

/*
 * Sends records for all repeats that are held back for longer than a second, or for all repeats if its argument is not
 * 0. Userspace runs it on each CPU by BPF_PROG_TEST_RUN. It returns 1 when it interrupted held_as_repeat(); it has done
 * nothing then and must be run again.
 */
SEC("raw_tp")
int flush_repeats(struct bpf_raw_tracepoint_args *ctx)
{
	struct scratch *scratch = scratch_of(PROGRAM_SYSCALL);
	__u64 since_max_ns = ctx->args[0] ? ~0ULL : bpf_ktime_get_ns() - REPEAT_WINDOW_NS;

	if (!scratch)
		return 0;
	if (*(volatile __u32 *)&scratch->in_repeats)
		return 1;
	for (__u32 slot = 0; slot < REPEAT_SLOTS; slot++)
		flush_repeat(PROGRAM_FLUSH, slot, since_max_ns);
	return 0;
}
