// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Sends the frame it is given (Ethernet, IPv4, UDP) out of the interface it is run on, as packet after packet of
 * `flows` flows in turn. Run by tests/support/generate.ts through BPF_PROG_TEST_RUN with live frames only.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 flows = 1;
/* Each sender has its own, or several send the same flows. */
const volatile __u32 first_source = 0x0a000000;

__u64 packets = 0;

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 flow;

	if ((void *)(udp + 1) > data_end)
		return XDP_DROP;
	flow = packets++ % flows;
	ip->saddr = bpf_htonl(first_source + flow);
	udp->source = bpf_htons(flow);
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
