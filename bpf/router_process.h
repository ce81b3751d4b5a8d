/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Events of processes that start a program, that end, or that the kernel kills for want of memory.
 *
 * Contract: what a program cannot know it leaves out and sets EVENT_INCOMPLETE; event.h says what is missing then.
 */
#pragma once

#include "router_route.h"

/* A program that a process has just started. Addresses are in the memory of that process. */
struct new_image {
	__u64 filename;
	__u64 args; /* one after another, each with its NUL */
	__u64 args_bytes;
	__u32 argc;
	__u32 ppid;
	__u16 flags; /* enum event_flag */
};

/* Sends the event of a program that the running process has started. */
static __always_inline int process_began(const struct new_image *image)
{
	struct scratch *scratch = scratch_of(PROGRAM_EXEC);
	struct exec_payload *payload;
	__u32 text_len, args_len;

	if (!scratch)
		return 0;
	begin(scratch, EVENT_PROCESS_EXEC, SEVERITY_INFO, 0);
	if (scratch->event.uid == 0)
		scratch->event.severity = SEVERITY_CRITICAL;
	scratch->event.flags = image->flags;
	payload = (void *)scratch->payload;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->ppid = image->ppid;
	payload->argc = image->argc;
	read_text(scratch, sizeof(*payload), image->filename);
	text_len = scratch->text_len;
	if (text_len > TEXT_MAX_BYTES)
		return 0;
	payload->filename_len = text_len;

	args_len = image->args_bytes;
	if (image->args_bytes > ARGS_MAX_BYTES) {
		scratch->event.flags |= EVENT_TRUNCATED;
		args_len = ARGS_MAX_BYTES;
	}
	if (args_len > ARGS_MAX_BYTES)
		return 0;
	if (bpf_probe_read_user(scratch->payload + sizeof(*payload) + text_len, args_len, (void *)image->args)) {
		scratch->event.flags |= EVENT_UNREADABLE;
		args_len = 0;
	}
	payload->args_len = args_len;
	scratch->event.data_len = sizeof(*payload) + text_len + args_len;
	return route(PROGRAM_EXEC);
}

/* Sends the event of a process whose leader, the running thread, ends. `status` is encoded as in wait(2). */
static __always_inline int process_ended(__u32 status, __u16 flags)
{
	struct scratch *scratch = scratch_of(PROGRAM_EXIT);
	struct exit_payload *payload;

	if (!scratch)
		return 0;
	begin(scratch, EVENT_PROCESS_EXIT, SEVERITY_DEBUG, 0);
	scratch->event.flags = flags;
	payload = (void *)scratch->payload;
	payload->status = status;
	payload->pad0 = 0;
	scratch->event.data_len = sizeof(*payload);
	return route(PROGRAM_EXIT);
}

/* The record of an out-of-memory victim, as if the running task were the victim; NULL without scratch space. */
static __always_inline struct scratch *begin_victim(void)
{
	struct scratch *scratch = scratch_of(PROGRAM_OOM);
	struct violation_payload *payload;

	if (!scratch)
		return NULL;
	begin(scratch, EVENT_RESOURCE_LIMIT, SEVERITY_ERROR, 0);
	payload = (void *)scratch->payload;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->kind = LIMIT_OOM_VICTIM;
	scratch->event.data_len = sizeof(*payload);
	return scratch;
}

/*
 * Routes a victim of which only a thread's number is known. A process that asks for memory while it is being killed is
 * its own victim, and then all of it is known. The number of any other victim is the thread group's too, unless the
 * group's first thread has ended already: the kernel looks for victims among the first threads.
 */
static __always_inline int victim_by_number(__u32 tid)
{
	struct scratch *scratch = begin_victim();
	struct event *event;

	if (!scratch)
		return 0;
	event = &scratch->event;
	if (event->tid != tid) {
		event->pid = tid;
		event->tid = tid;
		event->uid = UID_UNKNOWN;
		event->cgroup_id = 0;
		__builtin_memset(event->comm, 0, sizeof(event->comm));
		event->flags |= EVENT_INCOMPLETE;
	}
	return route(PROGRAM_OOM);
}
