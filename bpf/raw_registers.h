/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Registers and mode of the running task without the kernel's BTF: struct pt_regs is part of the kernel's ABI for
 * debuggers (ptrace(2) on x86_64, signal frames and ptrace on arm64), and its layout has not changed since Linux 5.10.
 *
 * Contract: userspace sets `arm64` and `thread_status_at` before it loads the programs. `regs` is the address of the
 * registers that the tracepoint hands over; what cannot be read is 0. Needs a kernel that lets programs use
 * bpf_probe_read_kernel(), which lockdown=confidentiality does not. The other implementation of syscall_number(),
 * syscall_arguments() and is_compat_return() is in kernel_types.h.
 */
#pragma once

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Which of the two layouts below the registers have. */
const volatile bool arm64 = false;
/*
 * x86_64: where struct thread_info, which a task starts with, has its `status`. Linux 5.11 put a word before it. Tried
 * by userspace: the same version brought bpf_get_current_task_btf().
 */
const volatile __u32 thread_status_at = 16;

/* Offsets within struct pt_regs. */
enum x86_register {
	X86_R10 = 56,
	X86_DX = 96,
	X86_SI = 104,
	X86_DI = 112,
	X86_ORIG_AX = 120,
	X86_SP = 152,
};

enum arm64_register {
	ARM64_X0 = 0,
	ARM64_SP = 248,
	ARM64_PSTATE = 264,
	ARM64_ORIG_X0 = 272,
	ARM64_SYSCALLNO = 280,
};

#define TS_COMPAT 2
#define PSR_MODE32 0x10

static __always_inline __u64 read_register(void *regs, __u32 at)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), regs + at);
	return value;
}

static __always_inline __u32 syscall_number(void *regs)
{
	return read_register(regs, arm64 ? ARM64_SYSCALLNO : X86_ORIG_AX);
}

static __always_inline void syscall_arguments(void *regs, __u64 args[4])
{
	if (arm64) {
		args[0] = read_register(regs, ARM64_ORIG_X0);
		args[1] = read_register(regs, ARM64_X0 + 8);
		args[2] = read_register(regs, ARM64_X0 + 16);
		args[3] = read_register(regs, ARM64_X0 + 24);
	} else {
		args[0] = read_register(regs, X86_DI);
		args[1] = read_register(regs, X86_SI);
		args[2] = read_register(regs, X86_DX);
		args[3] = read_register(regs, X86_R10);
	}
}

static __always_inline __u64 stack_pointer(void *regs)
{
	return read_register(regs, arm64 ? ARM64_SP : X86_SP);
}

/* 32-bit system calls are numbered otherwise. */
static __always_inline bool is_compat_return(void *regs)
{
	__u32 status = 0;

	if (arm64)
		return read_register(regs, ARM64_PSTATE) & PSR_MODE32;
	bpf_probe_read_kernel(&status, sizeof(status), (void *)bpf_get_current_task() + thread_status_at);
	return status & TS_COMPAT;
}
