// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Walks one frame through a sequence of flows that userspace has written, and tail-calls the program under test with
 * each: a test run over one frame cannot do that by itself.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* 0 -> the program under test */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} target SEC(".maps");

/* step -> flow, whose number becomes the source address 10.x.y.z; userspace sets max_entries */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} sequence SEC(".maps");

__u32 step = 0;

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
} __attribute__((packed));

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct frame *frame = (void *)(long)ctx->data;
	__u32 index = step++;
	__u64 *flow = bpf_map_lookup_elem(&sequence, &index);

	if (!flow || (void *)(frame + 1) > data_end)
		return XDP_ABORTED;
	frame->ip.saddr = bpf_htonl(0x0a000000 | (__u32)*flow);
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
