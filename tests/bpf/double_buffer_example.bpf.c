// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * How a program uses bpf/double_buffer.h: an XDP filter that passes frames of known protocols from known
 * networks, each up to its length. All three lists change together, while frames pass; no frame is judged by half of an
 * old set.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/double_buffer.h"

/* The numbers that userspace gives to DoubleBufferedLpm, DoubleBufferedHash and DoubleBufferedArray. */
enum structure {
	NETWORKS = 0,
	PROTOCOLS = 1,
	LIMITS = 2,
};

struct network {
	__u32 prefix_bits;
	__be32 address;
};

struct network_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(struct network));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1); /* userspace makes the real ones */
};

/* side -> struct network -> index into limits */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct network_trie);
} networks SEC(".maps");

struct protocol_hash {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
};

/* side -> IP protocol -> anything: being there is enough */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct protocol_hash);
} protocols SEC(".maps");

/* The longest frame. These have a fixed size: two plain maps, without an outer one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 16);
} limits_side0 SEC(".maps"), limits_side1 SEC(".maps");

struct double_buffer allowed = {};

SEC("xdp")
int filter(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	/* Once: all that follows belongs to one set. */
	__u32 side = double_buffer_side(&allowed);
	__u32 *limit_index, *limit_bytes, protocol;
	struct network source = { .prefix_bits = 32 };

	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_DROP;
	protocol = ip->protocol;
	if (!double_buffer_hash_lookup(&protocols, side, &protocol))
		return XDP_DROP;
	source.address = ip->saddr;
	limit_index = double_buffer_lpm_lookup(&networks, side, &source);
	if (!limit_index || *limit_index >= double_buffer_length(&allowed, LIMITS, side))
		return XDP_DROP;
	limit_bytes = DOUBLE_BUFFER_LOOKUP(limits, side, limit_index);
	if (!limit_bytes || ctx->data_end - ctx->data > *limit_bytes)
		return XDP_DROP;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
