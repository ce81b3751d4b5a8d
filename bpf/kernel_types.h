/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The few members of kernel structs that programs read, relocated at load to wherever the running kernel has them.
 * They are read through typed (BTF) pointers wherever the kernel gives one, since lockdown refuses
 * bpf_probe_read_kernel(). Before Linux 5.11 there is no typed pointer to the running task: what a program reads of it
 * then goes through bpf_probe_read_kernel(). Each reader takes `typed`, which is a constant once the object is loaded,
 * so the verifier only sees the way that this kernel has.
 */
#pragma once

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define CO_RE __attribute__((preserve_access_index))

/* A member of what `from` points to; `typed`: whether that is a typed pointer, a constant. */
#define READ_OF(typed, from, member) ((typed) ? (from)->member : BPF_CORE_READ(from, member))

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
} CO_RE;

struct thread_info {
	__u32 status;
} CO_RE;

struct task_struct {
	struct thread_info thread_info;
	struct mm_struct *mm;
	struct task_struct *real_parent;
	__s32 pid;
	__s32 tgid;
	int exit_code;
	char comm[16];
} CO_RE;

struct linux_binprm {
	unsigned long exec; /* where the new stack holds the file name */
	int argc;
} CO_RE;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} CO_RE;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
} CO_RE;

struct pt_regs___x86 {
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long orig_ax;
} CO_RE;

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 pstate;
	__u64 orig_x0;
	__s32 syscallno;
} CO_RE;

/* x86: the system call came through the 32-bit table. */
#define TS_COMPAT 2
/* arm64: the registers are those of a 32-bit process. */
#define PSR_MODE32 0x10

static __always_inline bool is_arm64(void)
{
	return bpf_core_field_exists(((struct pt_regs___arm64 *)0)->orig_x0);
}

static __always_inline __u32 syscall_number(void *regs)
{
	if (is_arm64())
		return ((struct pt_regs___arm64 *)regs)->syscallno;
	return ((struct pt_regs___x86 *)regs)->orig_ax;
}

/* The registers still hold the arguments when the call returns, but for arm64's first, which is kept aside. */
static __always_inline void syscall_arguments(void *regs, __u64 args[4])
{
	if (is_arm64()) {
		struct pt_regs___arm64 *arm = regs;

		args[0] = arm->orig_x0;
		args[1] = arm->regs[1];
		args[2] = arm->regs[2];
		args[3] = arm->regs[3];
	} else {
		struct pt_regs___x86 *x86 = regs;

		args[0] = x86->di;
		args[1] = x86->si;
		args[2] = x86->dx;
		args[3] = x86->r10;
	}
}

/*
 * The first argument of a function, to a kprobe at its entry. Read by a helper: from two members of a context, of which
 * only one exists, the compiler makes a load at a computed offset, which the verifier refuses.
 */
static __always_inline void *first_argument(void *regs)
{
	struct pt_regs___arm64 *arm = regs;
	struct pt_regs___x86 *x86 = regs;

	return (void *)(is_arm64() ? BPF_CORE_READ(arm, regs[0]) : BPF_CORE_READ(x86, di));
}

/* Whether the kernel hands out the running task as a typed pointer (Linux 5.11). */
static __always_inline bool has_typed_current(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

/* The running task; a typed pointer only where has_typed_current(). */
static __always_inline struct task_struct *current_task(void)
{
	if (has_typed_current())
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* 32-bit system calls are numbered otherwise. */
static __always_inline bool is_compat_syscall(void)
{
	struct task_struct *task = current_task();

	if (is_arm64() || !bpf_core_field_exists(task->thread_info.status))
		return false;
	if (has_typed_current())
		return task->thread_info.status & TS_COMPAT;
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
}

/* The same at the end of a call, where the registers tell it on arm64. */
static __always_inline bool is_compat_return(void *regs)
{
	if (is_arm64())
		return ((struct pt_regs___arm64 *)regs)->pstate & PSR_MODE32;
	return is_compat_syscall();
}
