/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What process.bpf.c counts and lib/aggregate/activity/process_reducer.ts reads: system calls by process and kind.
 */
#pragma once

#include "process_identity.h"

/* The table that a system call's number is from. */
enum syscall_abi {
	ABI_NATIVE = 0,
	ABI_COMPAT = 1, /* 32 bits: int 0x80 and sysenter on x86, AArch32 on arm64 */
	ABI_X32 = 2,
	SYSCALL_ABIS = 3,
};

/* Stands for every number above it: whatever the caller made up. */
#define SYSCALL_NUMBER_MAX 65535

struct process_key {
	__u64 started_ns; /* as in struct process_identity */
	__u32 pid;
	__u16 number;
	__u8 abi; /* enum syscall_abi */
	__u8 pad0;
};

/*
 * Durations by powers of two. Bucket 0 holds those below 128 ns, bucket i those from 2^(i + 6) to below 2^(i + 7), the
 * last one everything from 2^37 ns (137 s) on.
 */
#define DURATION_BUCKETS 32
#define DURATION_FIRST_SHIFT 6

/*
 * What one process did with one system call in one window, as one CPU saw it. A call that never returns is counted but
 * not timed, so that the histogram's sum is the number of timed calls. Its buckets have 32 bits: a CPU that did nothing
 * else would need minutes to fill one, and windows last a minute at most.
 */
struct process_value {
	__u64 calls;
	__u64 errors; /* results from -1 to -4095, but for those that only mean "interrupted, start again" */
	__u64 total_ns;
	__u64 min_ns; /* at least 1; 0: nothing was timed */
	__u64 max_ns;
	__u64 moved; /* sum of positive results: bytes, for calls whose result says so */
	__u64 noted_ns; /* when `identity` was read; 0: this CPU saw nothing */
	struct process_identity identity;
	__u32 histogram[DURATION_BUCKETS];
};

/* Programs that count: each has counters of its own on every CPU, since one may interrupt another. */
enum process_program {
	PROCESS_ENTER = 0,
	PROCESS_RETURN = 1,
	PROCESS_PROGRAMS = 2,
};

/*
 * Of one window, program and CPU; one cache line. Sums over the programs obey, with the values' sums:
 *
 *     seen = calls + overflow       seen_errors = errors + overflow_errors       seen_ns = total_ns + overflow_ns
 */
struct process_counters {
	__u64 seen;
	__u64 seen_errors;
	__u64 seen_ns;
	__u64 overflow; /* of processes that found no room */
	__u64 overflow_errors;
	__u64 overflow_ns;
	__u64 unentered; /* returns without an entry: a fork's second return, refused by seccomp, begun before us */
	__u64 passed_over; /* calls that sampling left out, exact */
};
