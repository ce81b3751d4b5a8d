// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What the packet-cost bench compares with: a program that does nothing, and the simplest flow counter that does its
 * job on one CPU (IPv4 without options only, one hash map, plain adds, the exact clock). `drive` walks the frame
 * through many flows, which a test run over one frame cannot do by itself, and tail-calls the program under test.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct simple_key {
	__be32 src;
	__be32 dst;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad0[3];
};

struct simple_value {
	__u64 packets;
	__u64 bytes;
	__u64 first_seen_ns;
	__u64 last_seen_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct simple_key);
	__type(value, struct simple_value);
	__uint(max_entries, 131072);
} simple_flows SEC(".maps");

/* 0 -> the program under test */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} target SEC(".maps");

/* Not a multiple of STRIDE, or some flows are never visited. */
const volatile __u32 flows = 1;
/* A prime: two packets in a row are far apart in the table. */
#define STRIDE 48271

__u32 step = 0;

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	__be16 sport;
	__be16 dport;
} __attribute__((packed));

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int simple(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct frame *frame = (void *)(long)ctx->data;
	struct simple_value *value, fresh = {};
	struct simple_key key = {};
	__u64 len_bytes = ctx->data_end - ctx->data;
	__u64 now_ns;

	if ((void *)(frame + 1) > data_end || frame->eth.h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	key.src = frame->ip.saddr;
	key.dst = frame->ip.daddr;
	key.proto = frame->ip.protocol;
	if (key.proto == IPPROTO_TCP || key.proto == IPPROTO_UDP) {
		key.sport = frame->sport;
		key.dport = frame->dport;
	}
	now_ns = bpf_ktime_get_ns();
	value = bpf_map_lookup_elem(&simple_flows, &key);
	if (value) {
		value->packets++;
		value->bytes += len_bytes;
		value->last_seen_ns = now_ns;
		return XDP_PASS;
	}
	fresh.packets = 1;
	fresh.bytes = len_bytes;
	fresh.first_seen_ns = now_ns;
	fresh.last_seen_ns = now_ns;
	bpf_map_update_elem(&simple_flows, &key, &fresh, BPF_ANY);
	return XDP_PASS;
}

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct frame *frame = (void *)(long)ctx->data;

	if ((void *)(frame + 1) > data_end)
		return XDP_ABORTED;
	frame->ip.saddr = bpf_htonl(0x0a000000 | (__u32)((__u64)step++ * STRIDE % flows));
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
