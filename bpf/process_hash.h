/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A thread's call in a hash, for kernels without task storage. The key is the address of the thread's task, never read
 * through, and not the thread's number: an exec from another thread than the first takes over the first one's number,
 * while a task stays where it is from its first call to its end. The object's program thread_end removes the entry when
 * the thread exits, however it came to that, and before the kernel can use the address for another task. So no entry
 * outlives its thread, and no thread finds another's call.
 */
#pragma once

#include <bpf/bpf_helpers.h>

#include "process_count.h"

static const struct call no_call = {};

/* task -> its call; userspace sets max_entries to the threads that there can be, see
 * lib/aggregate/activity/process_probe.ts */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct call);
	__uint(max_entries, 1);
} calls SEC(".maps");

static __always_inline struct call *call_of(void *task)
{
	__u64 key = bpf_get_current_task();

	return bpf_map_lookup_elem(&calls, &key);
}

static __always_inline struct call *make_call(void *task)
{
	__u64 key = bpf_get_current_task();
	struct call *call = bpf_map_lookup_elem(&calls, &key);

	if (call)
		return call;
	/* It fails when the map is full. */
	bpf_map_update_elem(&calls, &key, &no_call, BPF_NOEXIST);
	return bpf_map_lookup_elem(&calls, &key);
}

static __always_inline __u32 tgid_of(void *task)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline int forget_call(void)
{
	__u64 key = bpf_get_current_task();

	bpf_map_delete_elem(&calls, &key);
	return 0;
}
