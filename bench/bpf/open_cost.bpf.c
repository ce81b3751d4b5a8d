// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the open-cost bench compares with: a program that does nothing, where ebpfmon's watches opens. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tp_btf/sys_exit")
int syscall_exit(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
