/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Counting of system calls, the same in every object of process activity: maps, counters, and what is done when a call
 * begins and when it returns. The objects differ in how they reach the running thread and where they keep its call, and
 * define these functions for it. `task` is whatever the object's programs pass to begin_call() and end_call().
 */
#pragma once

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "double_buffer.h"
#include "process.h"
#include "self.h"

#define ERRNO_MAX 4095
/* ERESTARTSYS to ERESTART_RESTARTBLOCK: whether they become EINTR is decided after this. */
#define RESTART_MIN 512
#define RESTART_MAX 516

#define X32_SYSCALL_BIT 0x40000000

/* A call that has begun. */
struct call {
	__u64 start_ns; /* 0: none, or one that is not counted */
	struct process_key key;
};

/* The running thread's call; NULL where none of its calls was seen to begin. */
static __always_inline struct call *call_of(void *task);

/* The same, made where there is none; NULL without room for it. */
static __always_inline struct call *make_call(void *task);

/* The running process's number in the initial namespace. */
static __always_inline __u32 tgid_of(void *task);

/* As in struct process_identity; 0 where the object cannot read it. */
static __always_inline __u64 started_ns_of(void *task);

/* enum syscall_abi; `number` is the one that the kernel gives. */
static __always_inline __u32 abi_of(void *task, unsigned long number);

/* Whether this CPU's value lacks the process's identity, or has a worse one than the running thread can give. */
static __always_inline bool lacks_identity(const struct process_value *value);

/* Writes identity and noted_ns. */
static __always_inline void note_identity(struct process_value *value, __u64 now_ns);

/* struct process_key -> struct process_value. Sizes, not types: clang 14 leaves the types of an inner map undefined. */
struct activity_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(key_size, sizeof(struct process_key));
	__uint(value_size, sizeof(struct process_value));
	__uint(max_entries, 1); /* userspace makes the real ones */
};

/* side -> activity */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct activity_map);
} activity SEC(".maps");

/* (side * programs + program) * CPUs + CPU -> counters; userspace sets max_entries and maps it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct process_counters);
	__uint(max_entries, 1);
} process_counters SEC(".maps");

const volatile __u32 cpus = 1;
/* Of so many calls one is counted, as that many. */
const volatile __u32 sampling = 1;
/* 2^32 / sampling: a random number below it takes the call. */
const volatile __u32 sampling_threshold = 0;
/* enum syscall_abi * 2 -> the numbers of exit and exit_group */
const volatile __u32 never_return[SYSCALL_ABIS * 2] = {};
/* The same for execve and execveat. */
const volatile __u32 execs[SYSCALL_ABIS * 2] = {};

/* What a new entry starts from. */
static const struct process_value no_value = {};

/* The side that calls are counted on: activity and process_counters change it together. */
struct double_buffer window = {};

static __always_inline struct process_counters *counters_of(__u32 side, __u32 program)
{
	__u32 index = (side * PROCESS_PROGRAMS + program) * cpus + bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&process_counters, &index);
}

static __always_inline bool is_x32(unsigned long number)
{
	return number & X32_SYSCALL_BIT && number < 2UL * X32_SYSCALL_BIT;
}

/* Whether `numbers` has this one for its table. */
static __always_inline bool is_one_of(const volatile __u32 *numbers, __u32 abi, __u32 number)
{
	return abi < SYSCALL_ABIS && (number == numbers[abi * 2] || number == numbers[abi * 2 + 1]);
}

static __always_inline __u32 bucket_of(__u64 ns)
{
	__u32 bucket = 0;

	ns >>= DURATION_FIRST_SHIFT;
	if (ns >> (DURATION_BUCKETS - 1))
		return DURATION_BUCKETS - 1;
#pragma unroll
	for (int width = DURATION_BUCKETS / 2; width; width /= 2) {
		if (ns >> width) {
			ns >>= width;
			bucket += width;
		}
	}
	return bucket;
}

static __always_inline bool is_error(long result)
{
	if (result >= 0 || result < -ERRNO_MAX)
		return false;
	return result > -RESTART_MIN || result < -RESTART_MAX;
}

/* NULL when there is no room. */
static __always_inline struct process_value *value_of(__u32 side, struct process_key *key)
{
	struct process_value *value;
	void *map;

	map = double_buffer_map(&activity, side);
	if (!map)
		return NULL;
	value = bpf_map_lookup_elem(map, key);
	if (value)
		return value;
	/* It fails too when another CPU was first. */
	bpf_map_update_elem(map, key, &no_value, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

struct outcome {
	bool timed;
	__u64 ns;
	long result;
	bool failed;
	bool renamed; /* an exec: the process has another name */
	__u64 now_ns;
};

static __always_inline void count_call(struct process_counters *count, __u32 side, struct process_key *key,
				       const struct outcome *outcome)
{
	__u64 errors = outcome->failed ? sampling : 0, ns = outcome->ns * sampling;
	struct process_value *value;

	count->seen += sampling;
	count->seen_errors += errors;
	count->seen_ns += ns;
	value = value_of(side, key);
	if (!value) {
		count->overflow += sampling;
		count->overflow_errors += errors;
		count->overflow_ns += ns;
		return;
	}
	value->calls += sampling;
	value->errors += errors;
	if (outcome->result > 0)
		value->moved += outcome->result * (__u64)sampling;
	if (outcome->timed) {
		/* The clock may stand still for a call, but 0 says that there was none. */
		__u64 at_least_1_ns = outcome->ns ? outcome->ns : 1;

		value->total_ns += ns;
		if (!value->min_ns || at_least_1_ns < value->min_ns)
			value->min_ns = at_least_1_ns;
		if (at_least_1_ns > value->max_ns)
			value->max_ns = at_least_1_ns;
		value->histogram[bucket_of(outcome->ns) & (DURATION_BUCKETS - 1)] += sampling;
	}
	/* A new entry is zero on every CPU, also on those that use it later. */
	if (outcome->renamed || lacks_identity(value))
		note_identity(value, outcome->now_ns);
}

/* Nothing else runs this program on this CPU between its reads and writes. */
static __always_inline int begin_call(void *task, unsigned long number)
{
	struct process_counters *count;
	__u32 side = double_buffer_side(&window);
	struct outcome outcome = {};
	struct call *call;
	__u32 abi;

	if (tgid_of(task) == self_tgid)
		return 0;
	if (sampling > 1 && bpf_get_prandom_u32() >= sampling_threshold) {
		count = counters_of(side, PROCESS_ENTER);
		if (count)
			count->passed_over++;
		/* A return can be missed: before 6.2 nothing is found while a thread's task storage is freed on this
		 * CPU. */
		call = call_of(task);
		if (call)
			call->start_ns = 0;
		return 0;
	}
	call = make_call(task);
	if (!call) {
		/* No room: it cannot be timed, and its return will find no entry. */
		count = counters_of(side, PROCESS_ENTER);
		if (!count)
			return 0;
		count->seen += sampling;
		count->overflow += sampling;
		return 0;
	}
	abi = abi_of(task, number);
	if (abi == ABI_X32)
		number &= ~X32_SYSCALL_BIT;
	if (!call->key.pid) {
		/* Neither changes while the thread lives: after an exec it is the leader, with the old one's start. */
		call->key.pid = tgid_of(task);
		call->key.started_ns = started_ns_of(task);
	}
	call->key.number = number < SYSCALL_NUMBER_MAX ? number : SYSCALL_NUMBER_MAX;
	call->key.abi = abi;
	if (is_one_of(never_return, abi, call->key.number)) {
		count = counters_of(side, PROCESS_ENTER);
		if (!count)
			return 0;
		outcome.now_ns = bpf_ktime_get_ns();
		count_call(count, side, &call->key, &outcome);
		return 0;
	}
	call->start_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int end_call(void *task, long result)
{
	__u64 now_ns = sampling > 1 ? 0 : bpf_ktime_get_ns();
	struct process_counters *count;
	__u32 side = double_buffer_side(&window);
	struct outcome outcome = {};
	struct process_key key;
	struct call *call;

	call = call_of(task);
	if (!call || !call->start_ns) {
		/* With sampling nobody can tell it from a call that was passed over. */
		if (sampling > 1 || tgid_of(task) == self_tgid)
			return 0;
		count = counters_of(side, PROCESS_RETURN);
		if (count)
			count->unentered++;
		return 0;
	}
	count = counters_of(side, PROCESS_RETURN);
	if (!count)
		return 0;
	/* Most calls are passed over: they do not pay for the clock. */
	if (sampling > 1)
		now_ns = bpf_ktime_get_ns();
	outcome.timed = true;
	outcome.now_ns = now_ns;
	/* Clocks of two CPUs may be apart by a few nanoseconds. */
	outcome.ns = now_ns > call->start_ns ? now_ns - call->start_ns : 0;
	outcome.result = result;
	outcome.failed = is_error(result);
	outcome.renamed = !result && is_one_of(execs, call->key.abi, call->key.number);
	call->start_ns = 0;
	key = call->key;
	count_call(count, side, &key, &outcome);
	return 0;
}
