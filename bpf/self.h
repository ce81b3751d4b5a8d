/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The monitor itself, which must not watch what it does. Userspace runs the program identify once, before it attaches
 * the others; self_tgid is 0 until then.
 */
#pragma once

#include <linux/types.h>

#include <bpf/bpf_helpers.h>

__u32 self_tgid = 0;

/* Run by BPF_PROG_TEST_RUN only: the monitor's number in the initial namespace, which it cannot know in its own. */
SEC("raw_tp")
int identify(void *ctx)
{
	self_tgid = bpf_get_current_pid_tgid() >> 32;
	return 0;
}
