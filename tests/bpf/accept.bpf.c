// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A filter of somebody else: accepts each packet, so that no filter behind it sees one. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int accept_all(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
