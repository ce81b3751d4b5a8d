/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What process_count.h wants to know of the running thread, where the kernel has BTF: everything, read from its task.
 */
#pragma once

#include <linux/in6.h>

#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "process_count.h"

#define ARM64_TIF_32BIT 22

struct thread_info___flags {
	unsigned long flags;
} CO_RE;

struct task_struct___arm64 {
	struct thread_info___flags thread_info;
} CO_RE;

static __always_inline __u64 started_ns_of(void *task)
{
	struct task_struct___identity *current = task;

	if (has_typed_current())
		return current->group_leader->start_boottime;
	return BPF_CORE_READ(current, group_leader, start_boottime);
}

static __always_inline __u32 abi_of(void *task, unsigned long number)
{
	struct task_struct___arm64 *arm64 = task;
	unsigned long flags;

	if (is_arm64()) {
		flags = has_typed_current() ? arm64->thread_info.flags : BPF_CORE_READ(arm64, thread_info.flags);
		return flags & 1UL << ARM64_TIF_32BIT ? ABI_COMPAT : ABI_NATIVE;
	}
	if (is_compat_syscall())
		return ABI_COMPAT;
	return is_x32(number) ? ABI_X32 : ABI_NATIVE;
}

static __always_inline bool lacks_identity(const struct process_value *value)
{
	return !value->noted_ns;
}

static __always_inline void note_identity(struct process_value *value, __u64 now_ns)
{
	value->noted_ns = now_ns;
	read_identity(current_task(), has_typed_current(), &value->identity);
}
