// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A run is a record: numbered from 0, every fifth one is given up. Run by tests/ring_reader_test.ts through
 * BPF_PROG_TEST_RUN only, by one caller at a time.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define DISCARD_EVERY 5

struct record {
	__u64 sequence;
	__u64 inverse; /* ~sequence: a torn record shows */
	__u64 pad0;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} ring SEC(".maps");

/* Laid out as tests/ring_reader_test.ts reads it. */
struct {
	__u64 submitted;
	__u64 discarded;
	__u64 refused; /* no room */
	__u64 submits_max;
} state = {};

SEC("xdp")
int produce(struct xdp_md *ctx)
{
	__u64 attempt = state.submitted + state.discarded;
	struct record *record;

	if (state.submitted >= state.submits_max)
		return XDP_PASS;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		state.refused++;
		return XDP_PASS;
	}
	record->sequence = state.submitted;
	record->inverse = ~state.submitted;
	record->pad0 = 0;
	if (attempt % DISCARD_EVERY == DISCARD_EVERY - 1) {
		state.discarded++;
		bpf_ringbuf_discard(record, 0);
	} else {
		state.submitted++;
		bpf_ringbuf_submit(record, 0);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
