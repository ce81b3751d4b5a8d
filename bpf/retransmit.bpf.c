// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * TCP segments that were sent again, by connection, in windows: what RetransSegs of /proc/net/snmp counts, less what it
 * counts and could not be sent (TCPRetransFail of /proc/net/netstat). Nothing runs unless something is retransmitted.
 *
 *     seen_segments = sum over the connections + overflow_segments
 *
 * Counters take atomic adds: a timer or an arriving packet may interrupt a program on its own CPU. Where it would run
 * the same program the kernel leaves that out, and counts it as a miss.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "double_buffer.h"
#include "kernel_types.h"
#include "retransmit.h"

/* struct socket_key -> segments */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct socket_key);
	__type(value, __u64);
	__uint(max_entries, 8192); /* userspace sets it */
} retransmits_side0 SEC(".maps"), retransmits_side1 SEC(".maps");

/* Inode of the namespace whose interfaces are watched. */
const volatile __u32 home_netns = 0;

/* What a new connection starts from. */
static const __u64 no_segments = 0;

/* The side that segments are counted on. */
struct double_buffer window = {};

/* side * places + place -> segments */
__u64 seen_segments[DOUBLE_BUFFER_SIDES * RETRANSMIT_PLACES] = {};
/* Of connections that found no room. */
__u64 overflow_segments[DOUBLE_BUFFER_SIDES * RETRANSMIT_PLACES] = {};

struct sk_buff {
	char cb[48];
} CO_RE;

struct tcp_skb_cb {
	__u16 tcp_gso_segs;
} CO_RE;

struct request_sock {
	struct sock_common __req_common;
} CO_RE;

/* In this order the compiler adds without fetching, which kernels before Linux 5.12 cannot do. */
static __always_inline void add(__u64 *counter, __u32 segments)
{
	__atomic_fetch_add(counter, segments, __ATOMIC_RELAXED);
}

static __always_inline void count_segments(struct sock_common *common, __u32 segments)
{
	__u32 side = double_buffer_side(&window);
	__u32 netns = netns_of(common, true);
	__u32 counter = side * RETRANSMIT_PLACES + (netns == home_netns ? RETRANSMIT_HOME : RETRANSMIT_OTHER);
	void *map = side ? (void *)&retransmits_side1 : (void *)&retransmits_side0;
	struct socket_key key;
	__u64 *value;

	add(&seen_segments[counter], segments);
	read_key(common, true, IPPROTO_TCP, netns, &key);
	value = bpf_map_lookup_elem(map, &key);
	if (!value) {
		/* It fails too when another CPU was first. */
		bpf_map_update_elem(map, &key, &no_segments, BPF_NOEXIST);
		value = bpf_map_lookup_elem(map, &key);
	}
	add(value ? value : &overflow_segments[counter], segments);
}

/* One skb may be several segments. */
static __always_inline __u32 segments_of(struct sk_buff *skb)
{
	return ((struct tcp_skb_cb *)skb->cb)->tcp_gso_segs;
}

/* Since Linux 6.17 it is told of what could not be sent, too. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(segments_tried, struct sock *sk, struct sk_buff *skb, int error)
{
	if (!error)
		count_segments(&sk->__sk_common, segments_of(skb));
	return 0;
}

/* Before, it was not, and had no word for it. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(segments_sent, struct sock *sk, struct sk_buff *skb)
{
	count_segments(&sk->__sk_common, segments_of(skb));
	return 0;
}

/* The answer to a connection that is not a socket yet. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(synack_sent, struct sock *sk, struct request_sock *request)
{
	count_segments(&request->__req_common, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
