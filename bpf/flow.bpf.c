// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Flows in windows, counted in the kernel. Each packet adds one to `seen` and one to exactly one of: its flow, the
 * overflow counters (overflow.h says more of it), or an other_class. All of them live on the same side of a double
 * buffer, so a window's numbers belong to that window and the sums agree when it is drained.
 */
#include "parse.h"

#include "double_buffer.h"

/* skb headers that must lie in linear memory: Ethernet, two tags, IPv6, extension headers, TCP. */
#define SKB_HEADERS_MAX_BYTES 256

/* struct flow4_key -> struct flow_value. Sizes, not types: clang 14 leaves the types of an inner map undefined. */
struct flow4_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, sizeof(struct flow4_key));
	__uint(value_size, sizeof(struct flow_value));
	__uint(max_entries, 1); /* userspace makes the real inner maps with --max-flows entries */
};

/* struct flow6_key -> struct flow_value */
struct flow6_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, sizeof(struct flow6_key));
	__uint(value_size, sizeof(struct flow_value));
	__uint(max_entries, 1);
};

/* side -> flow map */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct flow4_map);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, DOUBLE_BUFFER_SIDES);
	__array(values, struct flow6_map);
} flows6 SEC(".maps");

/* ((side * slots + slot) * directions + direction) * CPUs + CPU -> counters; userspace sets max_entries and maps it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct packet_counters);
	__uint(max_entries, 1);
} packet_counters SEC(".maps");

const volatile __u32 cpus = 1;
/* A perfect hash of the monitored ifindexes: slot = (u32)(ifindex * slot_multiplier) >> slot_shift. */
const volatile __u32 slots = 2;
const volatile __u32 slot_multiplier = 0;
const volatile __u32 slot_shift = 31;
const volatile bool per_cpu_values = false; /* the inner maps are BPF_MAP_TYPE_PERCPU_HASH */

/* After `cpus`, which it uses. */
#include "overflow.h"

/* Frames come from a capture, which knows their length and time. The verifier drops what is not so. */
const volatile bool replays = false;
#include "replay.h"

/* Written by the program sample_clock, which userspace runs when it wants to know. */
struct clock_sample clock_sample = {};

/* The side that packets are counted on: flows4, flows6 and packet_counters change it together. */
struct double_buffer window = {};

static __always_inline __u64 now_ticks(void)
{
	return replays ? replayed.ticks : bpf_jiffies64();
}

/* Relaxed: newer compilers make of the default order an add that fetches, which kernels before 5.12 refuse. */
static __always_inline void add(__u64 *counter, __u64 n)
{
	if (per_cpu_values)
		*counter += n;
	else
		__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* One flag a byte: what flow_value.tcp_flags_seen holds. */
static __always_inline __u64 spread_tcp_flags(__u8 flags)
{
	return (flags * 0x0101010101010101ULL) & 0x8040201008040201ULL;
}

static __always_inline void note_tcp_flags(struct flow_value *value, __u8 flags)
{
	__u64 spread = spread_tcp_flags(flags);

	if (!(spread & ~*(volatile __u64 *)value->tcp_flags_seen))
		return;
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (flags & (1 << i))
			value->tcp_flags_seen[i] = 1 << i;
}

/* False when the map had no room. */
static __always_inline bool count_flow(void *flows, __u32 side, enum full_map full, const void *key, __u32 packets,
				       __u64 bytes, __u8 tcp_flags)
{
	struct flow_value *value;
	struct flow_value fresh;
	__u64 now_jiffies;
	long error;
	void *map;

	map = double_buffer_map(flows, side);
	if (!map)
		return false;
	now_jiffies = now_ticks();
	value = bpf_map_lookup_elem(map, key);
	if (!value) {
		if (is_full(side, full))
			return false;
		__builtin_memset(&fresh, 0, sizeof(fresh));
		fresh.packets = packets;
		fresh.bytes = bytes;
		fresh.first_seen_jiffies = now_jiffies;
		fresh.last_seen_jiffies = now_jiffies;
		*(__u64 *)fresh.tcp_flags_seen = spread_tcp_flags(tcp_flags);
		error = bpf_map_update_elem(map, key, &fresh, BPF_NOEXIST);
		if (!error)
			return true;
		if (error == -E2BIG)
			note_full(side, full);
		/* Another CPU was first, or the map is full. */
		value = bpf_map_lookup_elem(map, key);
		if (!value)
			return false;
	}
	/* A new per-CPU entry is zero on every CPU but the one that made it. */
	if (per_cpu_values && !value->first_seen_jiffies)
		value->first_seen_jiffies = now_jiffies;
	add(&value->packets, packets);
	add(&value->bytes, bytes);
	/* Most packets fall in the tick of the one before: no store, no cache line taken from another CPU. */
	if (value->last_seen_jiffies != now_jiffies)
		value->last_seen_jiffies = now_jiffies;
	note_tcp_flags(value, tcp_flags);
	return true;
}

/* Nothing else runs on this CPU between its reads and writes: XDP and tc run with bottom halves off. */
static __always_inline struct packet_counters *counters_of(__u32 side, __u32 slot, __u32 direction)
{
	__u32 index = ((side * slots + slot) * FLOW_DIRECTIONS + direction) * cpus + bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&packet_counters, &index);
}

static __always_inline void count_packet(struct packet_counters *counters, int parsed, struct packet *pkt, __u32 side,
					 __u32 slot, __u32 direction, __u32 packets, __u64 bytes)
{
	bool counted;

	counters->seen_packets += packets;
	counters->seen_bytes += bytes;
	if (parsed >= PARSED_OTHER) {
		__u32 class = (parsed - PARSED_OTHER) & (OTHER_CLASSES - 1);

		counters->other_packets[class] += packets;
		counters->other_bytes[class] += bytes;
		return;
	}
	if (parsed == PARSED_IPV4) {
		pkt->key4.direction = direction;
		pkt->key4.iface_slot = slot;
		counted = count_flow(&flows4, side, FULL_FLOWS4, &pkt->key4, packets, bytes, pkt->tcp_flags);
	} else {
		pkt->key6.direction = direction;
		pkt->key6.iface_slot = slot;
		counted = count_flow(&flows6, side, FULL_FLOWS6, &pkt->key6, packets, bytes, pkt->tcp_flags);
	}
	if (!counted) {
		struct overflow_packet packet = {
			.packets = packets,
			.bytes = bytes,
			.jiffies = now_ticks(),
			.family = parsed == PARSED_IPV4 ? 4 : 6,
			.tcp_flags = pkt->tcp_flags,
		};

		counters->overflow_packets += packets;
		counters->overflow_bytes += bytes;
		if (!count_overflow(side, pkt, &packet)) {
			counters->rest_packets += packets;
			counters->rest_bytes += bytes;
		}
	}
}

static __always_inline __u32 slot_of(__u32 ifindex)
{
	return (__u32)(ifindex * slot_multiplier) >> slot_shift;
}

static __always_inline void watch_frame(struct xdp_md *ctx, __u32 len_bytes)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 slot = slot_of(ctx->ingress_ifindex);
	struct packet_counters *counters;
	__u32 side = double_buffer_side(&window);
	struct packet pkt __attribute__((aligned(8))); /* keys are hashed by words */
	int parsed;

	/* Unknown to the compiler from here, or it adds the length to packet pointers, which the verifier refuses. */
	barrier_var(len_bytes);
	counters = counters_of(side, slot, FLOW_INGRESS);
	if (!counters)
		return;
	pkt.tcp_flags = 0;
	parsed = parse_packet(ctx, data, data_end, len_bytes, PARSE_XDP, &pkt);
	count_packet(counters, parsed, &pkt, side, slot, FLOW_INGRESS, 1, len_bytes);
}

static __always_inline void watch_skb(struct __sk_buff *skb, __u32 direction)
{
	__u32 slot = slot_of(skb->ifindex);
	__u32 len_bytes = replays ? replayed.wire_bytes : skb->len;
	struct packet_counters *counters;
	__u32 side = double_buffer_side(&window);
	__u32 packets = 1;
	/* The kernel or the NIC took the outer VLAN tag out of the frame; on the wire it is there. */
	__u32 tag_bytes = skb->vlan_present ? sizeof(struct vlan_tag) : 0;
	__u64 bytes = len_bytes + tag_bytes;
	__u32 flags = (skb->gso_size ? PARSE_GSO : 0) | (tag_bytes ? PARSE_TAG_OFFLOADED : 0);
	struct packet pkt __attribute__((aligned(8))); /* keys are hashed by words */
	void *data, *data_end;
	int parsed;

	counters = counters_of(side, slot, direction);
	if (!counters)
		return;
	data = (void *)(long)skb->data;
	data_end = (void *)(long)skb->data_end;
	/* What the snap length of a capture cut is not there to be pulled. */
	if (!replays && data_end - data < len_bytes && data_end - data < SKB_HEADERS_MAX_BYTES) {
		/* A failed pull leaves the linear part as it was; what does not fit is then counted as truncated. */
		bpf_skb_pull_data(skb, len_bytes < SKB_HEADERS_MAX_BYTES ? len_bytes : SKB_HEADERS_MAX_BYTES);
		data = (void *)(long)skb->data;
		data_end = (void *)(long)skb->data_end;
	}
	pkt.tcp_flags = 0;
	parsed = parse_packet(skb, data, data_end, len_bytes, flags, &pkt);
	/* A GSO packet is several packets on the wire, each with its own headers. */
	if (skb->gso_segs > 1 && parsed < PARSED_OTHER) {
		packets = skb->gso_segs;
		bytes += (__u64)(packets - 1) * (pkt.headers_bytes + tag_bytes);
	}
	count_packet(counters, parsed, &pkt, side, slot, direction, packets, bytes);
}

SEC("xdp")
int ingress_xdp(struct xdp_md *ctx)
{
	watch_frame(ctx, ctx->data_end - ctx->data);
	return XDP_PASS;
}

/* For drivers that take a program at a jumbo MTU only if it can handle frames in several buffers. */
SEC("xdp.frags")
int ingress_xdp_frags(struct xdp_md *ctx)
{
	watch_frame(ctx, bpf_xdp_get_buff_len(ctx));
	return XDP_PASS;
}

/* TCX_NEXT, which is also tc's TC_ACT_UNSPEC: let whatever else is attached decide. */
SEC("tc")
int ingress_tcx(struct __sk_buff *skb)
{
	watch_skb(skb, FLOW_INGRESS);
	return -1;
}

SEC("tc")
int egress_tcx(struct __sk_buff *skb)
{
	watch_skb(skb, FLOW_EGRESS);
	return -1;
}

/*
 * direction -> the program that counts. The kernel empties the map when the last process that holds its descriptor has
 * ended, however it ended. A clsact filter is bound to no process and outlives it; but it then finds nothing to call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, FLOW_DIRECTIONS);
} clsact_targets SEC(".maps");

/* What a clsact filter runs: counts while its owner lives, and lets the next filter decide in any case. */
SEC("tc")
int ingress_clsact(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &clsact_targets, FLOW_INGRESS);
	return -1;
}

SEC("tc")
int egress_clsact(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &clsact_targets, FLOW_EGRESS);
	return -1;
}

/* These are run by BPF_PROG_TEST_RUN only, never attached. */
SEC("tc")
int replay_tcx(struct __sk_buff *skb)
{
	replay_next(skb);
	return -1;
}

SEC("xdp")
int sample_clock(struct xdp_md *ctx)
{
	clock_sample.monotonic_ns = bpf_ktime_get_ns();
	clock_sample.jiffies = bpf_jiffies64();
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
