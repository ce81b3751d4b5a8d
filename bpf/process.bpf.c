// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * System calls by process and kind, in windows. A call is counted when it returns, in the window that it returns in;
 * one that never returns when it is made. Its start is kept in the task's own storage, which goes with the task:
 * nothing leaks when a thread dies, and none has to wait for room. BTF tracepoints cost what raw ones do (the same
 * trampoline) and hand over the task as a typed pointer.
 *
 * The call's number is the one it had at its start: at its end a signal handler's return or an exec has replaced it.
 *
 * process_hash.bpf.c does the same without task storage (before Linux 5.12), process_raw.bpf.c without kernel BTF.
 */
#include "process_btf.h"

#include <bpf/bpf_tracing.h>

/* task -> its call */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call);
} calls SEC(".maps");

static __always_inline struct call *call_of(void *task)
{
	return bpf_task_storage_get(&calls, task, NULL, 0);
}

static __always_inline struct call *make_call(void *task)
{
	return bpf_task_storage_get(&calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline __u32 tgid_of(void *task)
{
	return ((struct task_struct *)task)->tgid;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, void *regs, unsigned long number)
{
	return begin_call(bpf_get_current_task_btf(), number);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_return, void *regs, long result)
{
	return end_call(bpf_get_current_task_btf(), result);
}

char LICENSE[] SEC("license") = "GPL";
