// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A cable that loses TCP packets, attached where they come in or go out: of those with data one in LOSE_ONE_IN, and the
 * first answer to each connection. Plain Ethernet, IPv4 without options or IPv6 without extension headers.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LOSE_ONE_IN 7

/* ports of a connection, both -> nothing: its answer was lost once */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u8);
	__uint(max_entries, 1024);
} answered SEC(".maps");

__u64 with_data = 0;

SEC("tc")
int lose(struct __sk_buff *skb)
{
	__u32 tcp_at, headers_bytes;
	struct ipv6hdr ip6;
	struct tcphdr tcp;
	struct iphdr ip4;
	__u8 proto, nothing = 0;
	__u32 ports;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip4, sizeof(ip4)))
			return TC_ACT_OK;
		tcp_at = ETH_HLEN + sizeof(ip4);
		proto = ip4.protocol;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)))
			return TC_ACT_OK;
		tcp_at = ETH_HLEN + sizeof(ip6);
		proto = ip6.nexthdr;
	} else {
		return TC_ACT_OK;
	}
	if (proto != IPPROTO_TCP || bpf_skb_load_bytes(skb, tcp_at, &tcp, sizeof(tcp)))
		return TC_ACT_OK;
	headers_bytes = tcp_at + tcp.doff * 4;
	if (tcp.syn && tcp.ack) {
		ports = tcp.source | (__u32)tcp.dest << 16;
		return bpf_map_update_elem(&answered, &ports, &nothing, BPF_NOEXIST) ? TC_ACT_OK : TC_ACT_SHOT;
	}
	if (skb->len <= headers_bytes)
		return TC_ACT_OK;
	return __sync_fetch_and_add(&with_data, 1) % LOSE_ONE_IN == LOSE_ONE_IN - 1 ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
