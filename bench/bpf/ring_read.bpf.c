// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What the ring-read bench reads: a run is a file-open record as the router sends it, waking its reader by one of three
 * policies. Run through BPF_PROG_TEST_RUN only.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../../bpf/event.h"

#define RING_BYTES (512 * 1024)
#define PATH "/etc/ld.so.cache"
#define PATH_BYTES (sizeof(PATH) - 1)

enum wake_policy {
	WAKE_NEVER = 0,
	WAKE_WATERMARK = 1,
	WAKE_ADAPTIVE = 2,
};

struct open_record {
	struct event event;
	struct open_payload payload;
	char path[PATH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

/* Alone in .rodata: bench/ring_read.ts sets it at offset 0. */
const volatile __u32 wake = WAKE_NEVER;

struct open_record record = {
	.event = {
		.ts_ns = 1000,
		.first_ns = 1000,
		.type = EVENT_FILE_OPEN,
		.severity = SEVERITY_DEBUG,
		.home_ring = RING_DEBUG,
		.pid = 42,
		.tid = 42,
		.uid = 1000,
		.data_len = sizeof(struct open_payload) + PATH_BYTES,
		.cgroup_id = 9,
		.comm = "bench",
		.result = 3,
		.weight = 1,
		.repeats = 1,
	},
	.payload = { .dirfd = -100, .syscall = 257 },
	.path = { PATH },
};

/* Records that found room. Alone in .bss: bench/ring_read.ts reads it at offset 0. */
__u64 submitted = 0;

/* The watermark is the router's: half of the ring, then every sixteenth. */
SEC("xdp")
int produce(struct xdp_md *ctx)
{
	__u64 before, after, flags = BPF_RB_NO_WAKEUP;

	if (wake == WAKE_ADAPTIVE) {
		flags = 0;
	} else if (wake == WAKE_WATERMARK) {
		before = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
		after = before + sizeof(record) + BPF_RINGBUF_HDR_SZ;
		if (after >= RING_BYTES / 2 && (before ^ after) >= RING_BYTES / 16)
			flags = BPF_RB_FORCE_WAKEUP;
	}
	if (!bpf_ringbuf_output(&ring, &record, sizeof(record), flags))
		submitted++;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
