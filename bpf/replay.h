// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Frames of a capture, many in one test run. The kernel repeats a program over one frame; here each repetition first
 * puts the next frame in its place. A system call a frame costs several times what counting it does. Not XDP: before it
 * repeats one of those the kernel patches its dispatcher, which takes as long as 100,000 frames.
 */
#pragma once

#include "flow.h"

/* place -> frame; written by userspace, which sets max_entries to REPLAY_FRAMES and maps it */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct captured_frame);
	__uint(max_entries, 1);
} captured_frames SEC(".maps");

/* 0 -> the program that counts */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} replay_target SEC(".maps");

/* The frame that is being counted, and the place of the next one. */
struct replayed_frame replayed = {};

/* Puts the next frame into the buffer and counts it; returns where there is none, or it cannot be done. */
static __always_inline void replay_next(struct __sk_buff *skb)
{
	__u32 place = replayed.next;
	struct captured_frame *frame = bpf_map_lookup_elem(&captured_frames, &place);
	__u32 kept_bytes;

	if (!frame)
		return;
	kept_bytes = frame->kept_bytes;
	if (kept_bytes > REPLAY_BYTES_MAX)
		return;
	/* Two checks of the same register. The compiler would make one of a difference, and the verifier of 5.10 would
	 * then know no lower bound of the length itself. */
	barrier_var(kept_bytes);
	if (kept_bytes < sizeof(struct ethhdr))
		return;
	if (skb->len != kept_bytes && bpf_skb_change_tail(skb, kept_bytes, 0))
		return;
	if (bpf_skb_store_bytes(skb, 0, frame->bytes, kept_bytes, 0))
		return;
	replayed.ticks = frame->ticks;
	replayed.wire_bytes = frame->wire_bytes;
	replayed.next = place + 1;
	bpf_tail_call(skb, &replay_target, 0);
	/* It was not counted. */
	replayed.next = place;
}
