/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The record that a program of the router builds, and what all of those programs share: counters, scratch space and the
 * settings that userspace writes before it loads them.
 *
 * Contract: each program has a number of its own (enum router_program) and uses only the counters and the scratch space
 * of that number, since another program may interrupt it on the same CPU. A record lies in the scratch space, and other
 * functions are told the program's number instead of a pointer: before Linux 5.12 a function that the verifier checks
 * on its own takes numbers only. Nothing here needs the kernel's BTF.
 */
#pragma once

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "router.h"

#define NS_PER_S 1000000000ULL

#define PAYLOAD_FIXED_MAX_BYTES 64
_Static_assert(sizeof(union event_payload) <= PAYLOAD_FIXED_MAX_BYTES, "room for the struct of every type");
/* Two more than the text: room for its NUL, and one to tell a text that just fits from one that is too long. */
#define TEXT_READ_BYTES (TEXT_MAX_BYTES + 2)
/* A multiple of 8, with 8 to spare that are zeroed behind a text. */
#define PAYLOAD_MAX_BYTES (PAYLOAD_FIXED_MAX_BYTES + TEXT_READ_BYTES + ARGS_MAX_BYTES + 14)

/*
 * What is left of rules and filters while one condition after another is looked at, and the watch lists met so far. It
 * lies in a map: the verifier forgets what it knew of the numbers, and the branches that led to them do not multiply.
 */
struct judgement {
	__u64 rules;
	__u64 filters;
	__u64 watches;
};

/* A record is built here, then copied into a ring: its length is known only when its text has been read. */
struct scratch {
	struct event event;
	__u8 payload[PAYLOAD_MAX_BYTES];
	__u32 text_at; /* what rules compare prefixes with, within the payload */
	__u32 text_len;
	__u32 port; /* of the other end; 0 for none */
	__u32 in_repeats; /* not 0 while the program is at the repeat slots */
	__u64 exec_filename; /* found by find_exec_texts() of exec_stack.h */
	__u64 exec_args_end;
	struct judgement left;
	struct rule_path_key path_key;
};

/* enum router_program * CPUs + CPU -> counters; userspace sets max_entries and maps it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct router_counters);
	__uint(max_entries, ROUTER_PROGRAMS);
} counters SEC(".maps");

/* enum router_program -> scratch */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(max_entries, ROUTER_PROGRAMS);
} scratches SEC(".maps");

const volatile __u32 cpus = 1;
/* System call number -> enum syscall_rule bits; 0 for those that nobody asked about. */
const volatile __u32 syscall_rules[SYSCALLS_MAX] = {};
const volatile bool watch_limits = true;
/* Whether syscall_exit of router_raw.bpf.c makes events of execs too. */
const volatile bool watch_execs = true;
const volatile bool hold_repeats = true;
/* Userspace draws it at random, so that nobody can make two payloads that have the same hash. */
const volatile __u64 hash_seed = 1;

/* Whether any process, or any cgroup, has a ring of its own. */
const volatile bool isolate_pids = false;
const volatile bool isolate_cgroups = false;

/* In-kernel filters. */
const volatile __u32 only_rings = 7; /* bits by enum ring_id */
const volatile bool filter_pid = false;
const volatile bool filter_uid = false;
const volatile bool filter_comm = false;
const volatile __u32 only_pid = 0;
const volatile __u32 only_uid = 0;
const volatile __u64 only_comm[2] = {};
/* The counters of a program on this CPU. */
static __always_inline struct router_counters *counters_of(__u32 program)
{
	__u32 index = program * cpus + bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &index);
}

/* The scratch space of a program on this CPU. */
static __always_inline struct scratch *scratch_of(__u32 program)
{
	return bpf_map_lookup_elem(&scratches, &program);
}

/* Fills header and context for the running process. */
static __always_inline void begin(struct scratch *scratch, __u32 type, __u32 severity, __s64 result)
{
	struct event *event = &scratch->event;
	__u64 id = bpf_get_current_pid_tgid();
	__u32 cpu = bpf_get_smp_processor_id();

	__builtin_memset(event, 0, sizeof(*event));
	event->ts_ns = bpf_ktime_get_ns();
	event->first_ns = event->ts_ns;
	event->type = type;
	event->severity = severity;
	event->cpu = cpu;
	event->cpu_full = cpu;
	event->pid = id >> 32;
	event->tid = id;
	event->uid = bpf_get_current_uid_gid();
	event->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->result = result;
	event->weight = 1;
	event->repeats = 1;
	scratch->text_at = 0;
	scratch->text_len = 0;
	scratch->port = 0;
}

/* Appends text from the process's memory at payload + `at`. */
static __always_inline void read_text(struct scratch *scratch, __u32 at, __u64 address)
{
	struct event *event = &scratch->event;
	long len;

	scratch->text_at = at;
	event->data_len = at;
	if (!address)
		return;
	len = bpf_probe_read_user_str(scratch->payload + at, TEXT_READ_BYTES, (void *)address);
	if (len < 0 || len > TEXT_READ_BYTES) {
		event->flags |= EVENT_UNREADABLE;
		return;
	}
	/* With its NUL; but kernels up to 6.12 at least say 0 for a text that is empty. */
	if (len > 0)
		len--;
	if (len > TEXT_MAX_BYTES) {
		event->flags |= EVENT_TRUNCATED;
		len = TEXT_MAX_BYTES;
	}
	scratch->text_len = len;
	event->data_len = at + len;
}
