// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * process.bpf.c for kernels without task storage in tracing programs (before Linux 5.12): a thread's call is kept in a
 * hash instead. Before Linux 5.11, which has no typed pointer to the running task, bpf_probe_read_kernel() reads it.
 */
#include "process_btf.h"
#include "process_hash.h"

#include <bpf/bpf_tracing.h>

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, void *regs, unsigned long number)
{
	return begin_call(current_task(), number);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_return, void *regs, long result)
{
	return end_call(NULL, result);
}

/* Runs in the thread that ends, after its last call. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(thread_end)
{
	return forget_call();
}

char LICENSE[] SEC("license") = "GPL";
