/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The rings: which one a record belongs to, and submit(), which puts it there.
 *
 * Contract: submit() counts one attempt and exactly one outcome for it (submitted, dropped or failed; router.h has the
 * equation). A record that is critical or an error spills from the critical ring into the normal one, then into the
 * debug one; any other goes to its home ring or nowhere. The three rings are tried one after another in straight code:
 * older verifiers find no bound for a loop over them.
 */
#pragma once

#include "router_record.h"

struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* userspace makes the rings that are used, with sizes of its own */
};

/* enum ring_id -> ring; userspace replaces it by a larger one while programs run. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, SHARED_RINGS);
	__array(values, struct ring_map);
} rings SEC(".maps");

/* struct isolate_key -> ring */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(key_size, sizeof(struct isolate_key));
	__uint(max_entries, ISOLATED_MAX);
	__array(values, struct ring_map);
} isolated_rings SEC(".maps");

/* process and reason -> how many of its records were held back or dropped */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct held_key);
	__type(value, __u64);
	__uint(max_entries, 8192);
} held SEC(".maps");

/* Counts a record that is held back or dropped. A process that finds no room in the map counts as process 0. */
static __always_inline void add_held(__u32 pid, __u32 reason)
{
	struct held_key key = { .pid = pid, .reason = reason };
	__u64 *count, one = 1;

	count = bpf_map_lookup_elem(&held, &key);
	if (!count && bpf_map_update_elem(&held, &key, &one, BPF_NOEXIST) == 0)
		return;
	if (!count)
		count = bpf_map_lookup_elem(&held, &key);
	if (!count) {
		key.pid = 0;
		bpf_map_update_elem(&held, &key, &(__u64) { 0 }, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&held, &key);
	}
	if (count)
		__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/* The shared ring of a severity. */
static __always_inline __u32 ring_of(__u32 severity)
{
	if (severity <= SEVERITY_ERROR)
		return RING_CRITICAL;
	return severity <= SEVERITY_INFO ? RING_NORMAL : RING_DEBUG;
}

/*
 * Critical events wake the reader each time. The others wake it when half of their ring is filled, and again at every
 * further sixteenth, because two CPUs that submit at once may both believe that the other crosses the mark.
 */
static __always_inline __u64 wake_flag(void *ring, __u32 len_bytes)
{
	__u64 size, before, after;

	size = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	before = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	after = before + len_bytes + BPF_RINGBUF_HDR_SZ;
	if (after >= size / 2 && (before ^ after) >= size / 16)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* The ring that belongs to the event's process or cgroup alone; NULL where neither has one. */
static __always_inline void *isolated_ring(const struct event *event)
{
	struct isolate_key key = { .id = event->pid, .kind = ISOLATE_PID };
	void *ring = NULL;

	if (isolate_pids)
		ring = bpf_map_lookup_elem(&isolated_rings, &key);
	if (!ring && isolate_cgroups) {
		key.id = event->cgroup_id;
		key.kind = ISOLATE_CGROUP;
		ring = bpf_map_lookup_elem(&isolated_rings, &key);
	}
	return ring;
}

/* Copies the record into a ring. When it fails, sets `*full` if the ring could hold the record but has no room now. */
static __always_inline bool put(void *ring, struct event *event, __u32 len_bytes, __u64 flags, bool *full)
{
	if (bpf_ringbuf_output(ring, event, len_bytes, flags) == 0)
		return true;
	if (len_bytes + BPF_RINGBUF_HDR_SZ <= bpf_ringbuf_query(ring, BPF_RB_RING_SIZE))
		*full = true;
	return false;
}

/* Tries one of the shared rings. False when it did not take the record. */
static __always_inline bool offer(struct event *event, struct router_counters *count, __u32 id, __u32 len_bytes,
				  bool critical, bool *full)
{
	void *ring = bpf_map_lookup_elem(&rings, &id);

	if (!ring)
		return false;
	if (id != event->home_ring)
		event->flags |= EVENT_SPILLED;
	if (!put(ring, event, len_bytes, critical ? BPF_RB_FORCE_WAKEUP : wake_flag(ring, len_bytes), full))
		return false;
	count->submitted[id & (RINGS - 1)]++;
	if (id != event->home_ring)
		count->spilled[event->home_ring & (RINGS - 1)]++;
	return true;
}

/* Submits the record to its own ring, or to one that it may spill into; `data_max` bounds its payload. */
static __always_inline void submit(struct event *event, struct router_counters *count, __u32 data_max)
{
	__u32 home = event->home_ring, data_len = event->data_len, len_bytes;
	bool critical = event->severity <= SEVERITY_ERROR, full = false;
	void *ring;

	if (home >= RINGS || data_len > data_max)
		return;
	len_bytes = sizeof(*event) + data_len;
	count->attempts[home]++;
	if (home == RING_ISOLATED) {
		ring = isolated_ring(event);
		if (ring &&
		    put(ring, event, len_bytes, critical ? BPF_RB_FORCE_WAKEUP : wake_flag(ring, len_bytes), &full)) {
			count->submitted[RING_ISOLATED]++;
			return;
		}
	}
	if (critical) {
		if (offer(event, count, RING_CRITICAL, len_bytes, true, &full) ||
		    offer(event, count, RING_NORMAL, len_bytes, true, &full) ||
		    offer(event, count, RING_DEBUG, len_bytes, true, &full))
			return;
	} else if (home < SHARED_RINGS && offer(event, count, home, len_bytes, false, &full)) {
		return;
	}
	if (!full) {
		count->failures[home & (RINGS - 1)]++;
		return;
	}
	/* A critical event counts as lost by the critical ring, also where its process has a ring of its own. */
	count->dropped[critical ? RING_CRITICAL : home & (RINGS - 1)]++;
	count->dropped_by_type[event->type & (EVENT_TYPES_MAX - 1)]++;
	add_held(event->pid, HELD_DROPPED);
}
