// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The programs of router.bpf.c for kernels without BTF, where nothing can be relocated: raw tracepoints, whose
 * arguments are numbers and addresses, and tracepoints of tracefs where their records have all that it takes. libbpf
 * refuses an object with a single relocation there, so this file includes nothing that makes one.
 *
 * What only the kernel's own structs tell is missing: the parent of a process that starts a program, and the status of
 * one that ends.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_helpers.h>

#include "raw_registers.h"

#include "exec_stack.h"
#include "router_process.h"
#include "router_syscalls.h"
#include "router_tcp.h"

/* execve and execveat by the machine's own table, and as a 32-bit program finds them in its registers. */
const volatile __u32 exec_numbers[2] = {};
const volatile __u32 compat_exec_numbers[2] = {};

/* An exec that succeeds returns 0 into the new program, with the registers of its kind: 64 or 32 bits wide. */
static __always_inline void exec_returned(void *regs, bool compat)
{
	struct scratch *scratch = scratch_of(PROGRAM_EXEC);
	struct new_image image = { .flags = EVENT_INCOMPLETE };
	__u64 stack = stack_pointer(regs);
	__u32 word_bytes = compat ? 4 : 8;

	if (!scratch)
		return;
	image.argc = read_word(stack, word_bytes);
	image.args = read_word(stack + word_bytes, word_bytes);
	if (!find_exec_texts(stack, word_bytes))
		image.flags |= EVENT_UNREADABLE;
	image.filename = scratch->exec_filename;
	if (image.argc && scratch->exec_args_end > image.args)
		image.args_bytes = scratch->exec_args_end - image.args;
	process_began(&image);
}

/* Every system call of the host passes here. */
SEC("raw_tp/sys_exit")
int syscall_exit(struct bpf_raw_tracepoint_args *ctx)
{
	void *regs = (void *)ctx->args[0];
	__u32 number = syscall_number(regs);
	long result = ctx->args[1];

	if (result == 0 && watch_execs) {
		bool native = number == exec_numbers[0] || number == exec_numbers[1];
		bool foreign = number == compat_exec_numbers[0] || number == compat_exec_numbers[1];

		if (native || foreign) {
			bool compat = is_compat_return(regs);

			if ((compat ? foreign : native) && !is_self()) {
				exec_returned(regs, compat);
				return 0;
			}
		}
	}
	return syscall_returned(regs, number, result);
}

SEC("raw_tp/sched_process_exit")
int process_exit(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (id >> 32 != (__u32)id || is_self())
		return 0;
	return process_ended(0, EVENT_INCOMPLETE);
}

/* The record of tracepoint sock:inet_sock_set_state; userspace compares it with what tracefs says. */
struct set_state_record {
	__u64 common;
	__u64 skaddr;
	__s32 oldstate;
	__s32 newstate;
	__u16 sport; /* both in host byte order */
	__u16 dport;
	__u16 family;
	__u16 protocol;
	__u8 saddr[4];
	__u8 daddr[4];
	__u8 saddr_v6[16];
	__u8 daddr_v6[16];
};

SEC("tracepoint/sock/inet_sock_set_state")
int tcp_state(struct set_state_record *record)
{
	struct tcp_change change = {};

	if (record->protocol != IPPROTO_TCP)
		return 0;
	change.socket = record->skaddr;
	change.family = record->family;
	change.sport = record->sport;
	change.dport = bpf_htons(record->dport);
	change.old_state = record->oldstate;
	change.new_state = record->newstate;
	if (change.family == AF_INET) {
		change.src[0] = *(__u32 *)record->saddr;
		change.dst[0] = *(__u32 *)record->daddr;
	} else {
		const __u32 *src = (const __u32 *)record->saddr_v6, *dst = (const __u32 *)record->daddr_v6;

#pragma unroll
		for (int i = 0; i < 4; i++) {
			change.src[i] = src[i];
			change.dst[i] = dst[i];
		}
	}
	return tcp_changed(&change);
}

/* The record of tracepoint oom:mark_victim starts so on every kernel. */
struct mark_victim_record {
	__u64 common;
	__s32 pid;
};

SEC("tracepoint/oom/mark_victim")
int oom_victim(struct mark_victim_record *record)
{
	return victim_by_number(record->pid);
}

char LICENSE[] SEC("license") = "GPL";
