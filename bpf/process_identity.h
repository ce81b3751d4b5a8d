/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Who a process is, read from its task. All loads go through BTF pointers; none needs a helper, so that any task will
 * do, not only the one that runs.
 */
#pragma once

#include <linux/types.h>

#define IDENTITY_COMM_BYTES 16

/* A process number comes back to life as somebody else; with the start time it does not. */
struct process_identity {
	__u64 started_ns; /* CLOCK_BOOTTIME, of the thread group's leader */
	__u64 cgroup_id; /* in the unified hierarchy */
	__u32 pid; /* the thread group's, in the initial namespace */
	__u32 uid; /* of the thread that was looked at */
	__u32 gid;
	__u32 pad0;
	char comm[IDENTITY_COMM_BYTES]; /* the leader's: threads often have names of their own */
};

#ifdef __bpf__

#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* kuid_t and kgid_t */
struct kernel_id___identity {
	__u32 val;
};

struct cred___identity {
	struct kernel_id___identity uid;
	struct kernel_id___identity gid;
} __attribute__((preserve_access_index));

struct kernfs_node___identity {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup___identity {
	struct kernfs_node___identity *kn;
} __attribute__((preserve_access_index));

struct css_set___identity {
	struct cgroup___identity *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct___identity {
	__s32 tgid;
	struct task_struct___identity *group_leader;
	__u64 start_boottime;
	const struct cred___identity *cred;
	struct css_set___identity *cgroups;
	char comm[IDENTITY_COMM_BYTES];
} __attribute__((preserve_access_index));

static __always_inline void read_identity(void *of, struct process_identity *identity)
{
	struct task_struct___identity *task = of;
	struct task_struct___identity *leader = task->group_leader;

	identity->started_ns = leader->start_boottime;
	identity->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	identity->pid = task->tgid;
	identity->uid = task->cred->uid.val;
	identity->gid = task->cred->gid.val;
	identity->pad0 = 0;
#pragma unroll
	for (int i = 0; i < IDENTITY_COMM_BYTES; i++)
		identity->comm[i] = leader->comm[i];
}

static __always_inline bool is_same_process(void *of, const struct process_identity *identity)
{
	struct task_struct___identity *task = of;

	return task->tgid == identity->pid && task->group_leader->start_boottime == identity->started_ns;
}

#endif
