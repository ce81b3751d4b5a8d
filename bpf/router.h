/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What lib/router/router_probe.ts and router.bpf.c share beside the records: counters, isolated rings, and rules.
 */
#pragma once

#include "event.h"

/*
 * What one program did on one CPU. By home ring, but for `submitted`, which is by the ring that took the record:
 *
 *     seen + flushed = filtered + repeats_held + rate_limited + sampled_out + sum of attempts
 *     sum of attempts = sum of submitted + sum of dropped + sum of failures
 *
 * Five cache lines, unshared: nothing else runs this program on this CPU between a read and a write.
 */
struct router_counters {
	__u64 attempts[RINGS];
	__u64 submitted[RINGS];
	__u64 dropped[RINGS]; /* this ring and all that it may spill into were full */
	__u64 failures[RINGS]; /* no ring, or one too small for the record */
	__u64 spilled[RINGS];
	__u64 dropped_by_type[EVENT_TYPES_MAX];
	__u64 seen;
	__u64 filtered;
	__u64 rate_limited;
	__u64 sampled_out;
	__u64 repeats_held;
	__u64 flushed; /* records that stand for repeats */
	__u64 pad0[6];
};

_Static_assert(sizeof(struct router_counters) % 64 == 0, "whole cache lines");

enum isolate_kind {
	ISOLATE_PID = 0,
	ISOLATE_CGROUP = 1,
};

/* Who has a ring of its own: a thread group, or all processes that are directly in a cgroup. */
struct isolate_key {
	__u64 id;
	__u32 kind; /* enum isolate_kind */
	__u32 pad0;
};

#define ISOLATED_MAX 64

enum held_reason {
	HELD_RATE_LIMITED = 0,
	HELD_DROPPED = 1,
};

/* What is counted by process. Process 0 stands for all processes that found no room in the map. */
struct held_key {
	__u32 pid;
	__u32 reason; /* enum held_reason */
};

#define SYSCALL_ANY_OPEN (SYSCALL_OPENAT | SYSCALL_OPENAT2 | SYSCALL_OPEN | SYSCALL_CREAT)
#define SYSCALL_ANY_RESULT (SYSCALL_ANY_OPEN | SYSCALL_CONNECT | SYSCALL_ALWAYS)

#define SYSCALL_PATH_SHIFT 8
#define SYSCALL_PATH_MASK 7
#define SYSCALL_KIND_SHIFT 12
#define SYSCALLS_MAX 512

/*
 * Rules, filters and watch lists are bits: at most 64 of each, the lowest that matches applies. All tables below belong
 * to one struct double_buffer, so that an event is judged by one set of them.
 */
#define RULES_MAX 64
#define RULE_PREFIX_MAX_BYTES 128
#define RULE_VALUES_MAX 4096
#define RULE_PATHS_MAX (2 * RULES_MAX)
#define RULE_NETS_MAX 65536

/* The tables of the double buffer. */
enum rule_structure {
	RULE_SETS = 0,
	RULE_VALUES = 1,
	RULE_PATHS = 2,
	RULE_NETS = 3,
};

/* What a rule or a filter can ask of an event. */
enum rule_dimension {
	RULE_UID = 0,
	RULE_COMM = 1,
	RULE_PORT = 2,
	RULE_RESULT = 3,
	RULE_PID = 4,
	RULE_CGROUP = 5,
	RULE_PATH = 6,
	RULE_NET = 7,
	RULE_DIMENSIONS = 8,
};

/* The rules, filters and watch lists whose condition a value, a path or an address fulfils. */
struct rule_bits {
	__u64 rules;
	__u64 filters;
	__u64 watches;
};

struct rule_key {
	__u64 value[2]; /* a comm's 16 bytes, or a number and 0 */
	__u32 dimension; /* enum rule_dimension */
	__u32 pad0;
};

/* The key of a path prefix. Its value has all conditions whose prefix is a prefix of it: a trie finds the longest only.
 */
struct rule_path_key {
	__u32 prefix_bits; /* of what follows */
	__u32 pad0; /* part of every prefix; it aligns the path */
	char path[RULE_PREFIX_MAX_BYTES];
};

/* The key of a network, in the same way. IPv4 networks lie within ::ffff:0:0/96. */
struct rule_net_key {
	__u32 prefix_bits;
	__u8 address[16];
};

/* The part of a rule set that is no table. */
struct rule_set {
	__u64 rules_by_type[EVENT_TYPES_MAX]; /* rules that ask for the type or for none */
	__u64 filters_by_type[EVENT_TYPES_MAX];
	__u64 rules_any[RULE_DIMENSIONS]; /* rules that ask nothing of a dimension */
	__u64 filters_any[RULE_DIMENSIONS];
	__u64 keeping_filters; /* the others drop */
	__u64 rate_interval_ns; /* of a cgroup's budget that an event in normal or debug costs; 0 for no limit */
	__u32 debug_one_in; /* of debug events at most one in so many is sent */
	__u8 keep_only; /* not 0: what no filter matches is dropped */
	__u8 severity_max; /* enum severity: less severe events are dropped; critical, 0, never is */
	__u8 pad0[2];
	__u8 asked_by_type[EVENT_TYPES_MAX]; /* bits of enum rule_dimension that anybody asks of events of a type */
	__u8 actions[RULES_MAX]; /* a severity; RULE_AT_LEAST: never lower the event's own */
	__u8 watch_severities[RULES_MAX]; /* the most severe list first */
};

#define RULE_AT_LEAST 128
