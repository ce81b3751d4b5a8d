// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Events by severity into three rings. BTF tracepoints only: they need no tracefs, hand over the registers and the
 * kernel's structs as typed pointers, and one program at sys_exit sees arguments and result together, so that nothing
 * has to be carried from a call's start to its end. It reads a path once the kernel itself has read it, when the page
 * is in memory; another thread of the process may have changed it in between. Kernels without BTF have
 * router_raw.bpf.c, which shares all headers but kernel_types.h with this file.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_types.h"
#include "process_identity.h"
#include "router_process.h"
#include "router_syscalls.h"
#include "router_tcp.h"

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, __s32 old_pid, struct linux_binprm *bprm)
{
	struct new_image image = {};

	if (is_self())
		return 0;
	image.ppid = task->real_parent->tgid;
	image.argc = bprm->argc;
	image.filename = bprm->exec;
	image.args = task->mm->arg_start;
	image.args_bytes = task->mm->arg_end - task->mm->arg_start;
	return process_began(&image);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	if (task->pid != task->tgid || is_self())
		return 0;
	return process_ended(task->exit_code, 0);
}

/* Every system call of the host passes here. */
SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, void *regs, long result)
{
	return syscall_returned(regs, syscall_number(regs), result);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old_state, int new_state)
{
	struct sock_common *common = &sk->__sk_common;
	struct tcp_change change = {};

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	change.socket = (__u64)sk;
	change.family = common->skc_family;
	change.sport = common->skc_num;
	change.dport = common->skc_dport;
	change.old_state = old_state;
	change.new_state = new_state;
	if (change.family == AF_INET) {
		change.src[0] = common->skc_rcv_saddr;
		change.dst[0] = common->skc_daddr;
	} else {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			change.src[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			change.dst[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
	return tcp_changed(&change);
}

/* The subject is the process that is killed, not the one that asked for memory. Linux 6.8 hands over its task. */
SEC("tp_btf/mark_victim")
int BPF_PROG(oom_victim, struct task_struct *victim)
{
	struct process_identity identity;
	struct scratch *scratch;

	read_identity(victim, true, &identity);
	scratch = begin_victim();
	if (!scratch)
		return 0;
	scratch->event.pid = identity.pid;
	scratch->event.tid = victim->pid;
	scratch->event.uid = identity.uid;
	scratch->event.cgroup_id = identity.cgroup_id;
	__builtin_memcpy(scratch->event.comm, identity.comm, sizeof(scratch->event.comm));
	return route(PROGRAM_OOM);
}

/* Earlier kernels hand over a number. The mask makes the verifier refuse the program where it is a task instead. */
SEC("tp_btf/mark_victim")
int oom_victim_pid(__u64 *ctx)
{
	__u64 tid = ctx[0];

	asm volatile("%0 &= 0x7fffffff" : "+r"(tid));
	return victim_by_number(tid);
}

char LICENSE[] SEC("license") = "GPL";
