// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * process.bpf.c for kernels without BTF, where nothing can be relocated: raw tracepoints, and of the running thread
 * only what helpers say. They do not say when the process started, and the name is the thread's own.
 */
#include "process_count.h"
#include "process_hash.h"

/* noted_ns of an identity whose name is that of a thread other than the first: any later look is newer. */
#define NOTED_BY_THREAD 1

/* The machine is x86_64, which has a third table. */
const volatile bool machine_has_x32 = false;
/*
 * Where the task says that it came through the 32-bit table: the word's place from the task's start, and its bit. The
 * bit is 0 where the kernel (lockdown) lets no program read its memory: such calls then look like native ones.
 */
const volatile __u32 compat_offset = 0;
const volatile __u32 compat_bit = 0;

static __always_inline __u64 started_ns_of(void *task)
{
	return 0;
}

static __always_inline __u32 abi_of(void *task, unsigned long number)
{
	__u32 word = 0;

	if (compat_bit) {
		bpf_probe_read_kernel(&word, sizeof(word), task + compat_offset);
		if (word & compat_bit)
			return ABI_COMPAT;
	}
	return machine_has_x32 && is_x32(number) ? ABI_X32 : ABI_NATIVE;
}

static __always_inline bool is_first_thread(void)
{
	__u64 ids = bpf_get_current_pid_tgid();

	return ids >> 32 == (__u32)ids;
}

static __always_inline bool lacks_identity(const struct process_value *value)
{
	return !value->noted_ns || (value->noted_ns == NOTED_BY_THREAD && is_first_thread());
}

static __always_inline void note_identity(struct process_value *value, __u64 now_ns)
{
	struct process_identity *identity = &value->identity;
	__u64 ids = bpf_get_current_uid_gid();

	value->noted_ns = is_first_thread() ? now_ns : NOTED_BY_THREAD;
	identity->started_ns = 0;
	identity->cgroup_id = bpf_get_current_cgroup_id();
	identity->pid = bpf_get_current_pid_tgid() >> 32;
	identity->uid = ids;
	identity->gid = ids >> 32;
	identity->pad0 = 0;
	bpf_get_current_comm(identity->comm, sizeof(identity->comm));
}

SEC("raw_tp/sys_enter")
int syscall_enter(struct bpf_raw_tracepoint_args *ctx)
{
	return begin_call((void *)bpf_get_current_task(), ctx->args[1]);
}

SEC("raw_tp/sys_exit")
int syscall_return(struct bpf_raw_tracepoint_args *ctx)
{
	return end_call(NULL, ctx->args[1]);
}

/* Runs in the thread that ends, after its last call. */
SEC("raw_tp/sched_process_exit")
int thread_end(void *ctx)
{
	return forget_call();
}

char LICENSE[] SEC("license") = "GPL";
