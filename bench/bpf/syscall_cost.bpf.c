// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the syscall-cost bench compares with: programs that do nothing, where ebpfmon's count system calls. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tp_btf/sys_enter")
int syscall_enter(void *ctx)
{
	return 0;
}

SEC("tp_btf/sys_exit")
int syscall_return(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
