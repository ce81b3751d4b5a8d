/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What happens to a finished record: filters, rules, repeat suppression, rate limits and sampling, then a ring.
 *
 * Contract: route(program) takes the record in that program's scratch space and counts exactly one outcome for it. It
 * is checked by the verifier once, however many programs call it.
 */
#pragma once

#include "router_repeats.h"
#include "router_rules.h"
#include "self.h"

/* cgroup -> the time when its token bucket is full again, in nanoseconds; see within_rate() */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, __u64);
	__uint(max_entries, 4096);
} buckets SEC(".maps");

/*
 * Takes a token from the bucket of the event's cgroup; false when there is none. A bucket is one word, the time when it
 * is full again: a token moves that time ahead by `interval_ns`, and there is none left when it would be more than a
 * second ahead. Two CPUs that take a token at the same time may pay for one only.
 */
static __always_inline bool within_rate(struct event *event, __u64 interval_ns)
{
	__u64 key = event->cgroup_id, now = event->ts_ns, full_ns, *bucket;

	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		full_ns = now + interval_ns;
		bpf_map_update_elem(&buckets, &key, &full_ns, BPF_ANY);
		return true;
	}
	full_ns = *(volatile __u64 *)bucket;
	if (full_ns < now)
		full_ns = now;
	full_ns += interval_ns;
	if (full_ns > now + NS_PER_S)
		return false;
	*(volatile __u64 *)bucket = full_ns;
	return true;
}

/*
 * Chooses the debug events that are sent: one in 4 when the ring is three quarters full, one in 16 when it is seven
 * eighths full, and at most one in `one_in_least` at any time. An event that is chosen stands for that many. False for
 * an event that is left out.
 */
static __always_inline bool sampled(struct event *event, __u32 one_in_least)
{
	__u32 id = RING_DEBUG, one_in = 1;
	__u64 used, size;
	void *ring;

	ring = bpf_map_lookup_elem(&rings, &id);
	if (!ring)
		return true;
	used = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	size = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	if (used >= size / 4 * 3)
		one_in = used < size / 8 * 7 ? 4 : 16;
	if (one_in < one_in_least)
		one_in = one_in_least;
	if (one_in <= 1)
		return true;
	if (bpf_get_prandom_u32() % one_in)
		return false;
	event->weight = one_in;
	event->flags |= EVENT_SAMPLED;
	return true;
}

/* Judges the record in the program's scratch space, and submits it or counts why it is not sent. */
__noinline int route(__u32 program)
{
	struct router_counters *count = counters_of(program);
	struct scratch *scratch = scratch_of(program);
	__u32 generation = double_buffer_generation(&rules), side = generation & 1, zero = 0;
	struct rule_set *set;
	struct event *event;

	if (!count || !scratch)
		return 0;
	event = &scratch->event;
	count->seen++;
	if ((filter_pid && event->pid != only_pid) || (filter_uid && event->uid != only_uid) ||
	    (filter_comm && (((__u64 *)event->comm)[0] != only_comm[0] || ((__u64 *)event->comm)[1] != only_comm[1]))) {
		count->filtered++;
		return 0;
	}
	event->rules_generation = generation;
	set = DOUBLE_BUFFER_LOOKUP(rule_sets, side, &zero);
	if (!set || !judge(scratch, set, side)) {
		count->filtered++;
		return 0;
	}
	event->home_ring = ring_of(event->severity);
	if (!(only_rings >> event->home_ring & 1)) {
		count->filtered++;
		return 0;
	}
	/* A process with a ring of its own crowds out nobody else: none of its events are held back. */
	if ((isolate_pids || isolate_cgroups) && isolated_ring(event))
		event->home_ring = RING_ISOLATED;
	if (event->home_ring == RING_DEBUG && event->type == EVENT_FILE_OPEN && hold_repeats) {
		bool is_held;

		scratch->in_repeats = 1;
		is_held = held_as_repeat(program, scratch, count);
		scratch->in_repeats = 0;
		if (is_held)
			return 0;
	}
	if (event->home_ring != RING_CRITICAL && event->home_ring != RING_ISOLATED && set->rate_interval_ns &&
	    !within_rate(event, set->rate_interval_ns)) {
		count->rate_limited++;
		add_held(event->pid, HELD_RATE_LIMITED);
		return 0;
	}
	if (event->home_ring == RING_DEBUG && !sampled(event, set->debug_one_in)) {
		count->sampled_out++;
		return 0;
	}
	submit(event, count, PAYLOAD_MAX_BYTES);
	return 0;
}

/* True in a thread of ebpfmon itself. */
static __always_inline bool is_self(void)
{
	return bpf_get_current_pid_tgid() >> 32 == self_tgid;
}
