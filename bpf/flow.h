/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Wire format of the flow maps: what flow.bpf.c writes and lib/aggregate/ reads. The TypeScript side takes every
 * offset from this header's BTF (lib/wire/layouts.gen.ts); tests/layout_test.ts fails when the two drift.
 */
#pragma once

#include <linux/types.h>

enum flow_direction {
	FLOW_INGRESS = 0,
	FLOW_EGRESS = 1,
	FLOW_DIRECTIONS = 2,
};

/* Why a packet belongs to no flow. */
enum other_class {
	OTHER_NON_IP = 0, /* ARP, LLDP, a third VLAN tag, any other EtherType */
	OTHER_TRUNCATED = 1, /* a header, or the length an IP header states, reaches past the frame's end */
	OTHER_MALFORMED = 2, /* a header contradicts itself: version, header length, total length, extension chain */
	OTHER_FRAGMENT = 3, /* any fragment but the first: it carries no ports */
	OTHER_CLASSES = 4,
};

struct flow4_key {
	__be32 src;
	__be32 dst;
	__be16 sport; /* 0 where the protocol has no ports, ICMP included */
	__be16 dport; /* ICMP: type << 8 | code, as NetFlow has it */
	__u8 proto;
	__u8 direction; /* enum flow_direction */
	__u16 iface_slot;
};

struct flow6_key {
	__u8 src[16];
	__u8 dst[16];
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 direction;
	__u16 iface_slot;
};

/*
 * One flow in one window. `tcp_flags_seen` is a byte a flag, FIN first, not zero once seen: a byte store needs no
 * atomic OR, which kernels before 5.12 lack, and no two CPUs can lose each other's flag. Times are timer ticks:
 * bpf_jiffies64() compiles to one load, while even the coarse clock costs as much as the hash lookup, and it ticks no
 * finer. `struct clock_sample` turns them into nanoseconds.
 */
struct flow_value {
	__u64 packets;
	__u64 bytes; /* layer 2 length, without the frame check sequence */
	__u64 first_seen_jiffies;
	__u64 last_seen_jiffies;
	__u8 tcp_flags_seen[8];
};

enum replay_shape {
	REPLAY_FRAMES = 256, /* in a run, at most */
	/* What the programs look at: Ethernet, two tags, IPv6, 2,047 bytes of extensions, TCP with all its options. */
	REPLAY_BYTES_MAX = 2304,
};

/* A frame of a capture, as userspace hands it over. */
struct captured_frame {
	__u64 ticks; /* in the place of the timer's; in whatever unit userspace counts them */
	__u32 wire_bytes; /* the frame's length before the snap length cut it */
	__u32 kept_bytes; /* what is there of it: not less than an Ethernet header */
	__u8 bytes[REPLAY_BYTES_MAX];
};

/* What the programs know of the frame that they count while a capture is replayed, and which frame comes next. */
struct replayed_frame {
	__u64 ticks;
	__u32 wire_bytes;
	__u32 next;
};

/* The exact clock and the timer tick read together. */
struct clock_sample {
	__u64 monotonic_ns;
	__u64 jiffies;
};

/* Packets and bytes that one CPU counted for one interface and direction in one window; two cache lines, unshared. */
struct packet_counters {
	__u64 seen_packets;
	__u64 seen_bytes;
	__u64 overflow_packets;
	__u64 overflow_bytes;
	__u64 other_packets[OTHER_CLASSES];
	__u64 other_bytes[OTHER_CLASSES];
	__u64 rest_packets; /* of the overflow: its source network found no room either */
	__u64 rest_bytes;
	__u64 pad0[2];
};
