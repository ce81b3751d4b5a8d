/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Who a process is, read from its task: any task, not only the one that runs. Through a typed (BTF) pointer no helper
 * is needed; kernel_types.h says when there is none.
 */
#pragma once

#include <linux/types.h>

#define IDENTITY_COMM_BYTES 16

/* A process number comes back to life as somebody else; with the start time it does not. */
struct process_identity {
	__u64 started_ns; /* CLOCK_BOOTTIME, of the thread group's leader; 0: not known */
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
	struct cred___identity *cred;
	struct css_set___identity *cgroups;
	char comm[IDENTITY_COMM_BYTES];
} __attribute__((preserve_access_index));

/* `typed`: whether `of` is a typed pointer; a constant. */
static __always_inline void read_identity(void *of, bool typed, struct process_identity *identity)
{
	struct task_struct___identity *task = of, *leader;

	identity->pad0 = 0;
	if (!typed) {
		leader = BPF_CORE_READ(task, group_leader);
		identity->started_ns = BPF_CORE_READ(leader, start_boottime);
		identity->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
		identity->pid = BPF_CORE_READ(task, tgid);
		identity->uid = BPF_CORE_READ(task, cred, uid.val);
		identity->gid = BPF_CORE_READ(task, cred, gid.val);
		BPF_CORE_READ_INTO(&identity->comm, leader, comm);
		return;
	}
	leader = task->group_leader;
	identity->started_ns = leader->start_boottime;
	identity->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	identity->pid = task->tgid;
	identity->uid = task->cred->uid.val;
	identity->gid = task->cred->gid.val;
#pragma unroll
	for (int i = 0; i < IDENTITY_COMM_BYTES; i++)
		identity->comm[i] = leader->comm[i];
}

/* `typed` as above. */
static __always_inline bool is_same_process(void *of, bool typed, const struct process_identity *identity)
{
	struct task_struct___identity *task = of;

	if (!typed)
		return BPF_CORE_READ(task, tgid) == identity->pid &&
		       BPF_CORE_READ(task, group_leader, start_boottime) == identity->started_ns;
	return task->tgid == identity->pid && task->group_leader->start_boottime == identity->started_ns;
}

#endif
