// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The baseline of the drain bench: plain C on libbpf doing what the aggregator worker does at a window's end, with the
 * same programs and maps: flip the side, wait for the grace period, drain in batches, sum, keep the ten largest.
 *
 *     drain FLOW.bpf.o PACKET_COST.bpf.o FLOWS ROUNDS GENERATION_AT
 *
 * GENERATION_AT is the offset of `window.generation` in the flow programs' .bss. Each round prints a line:
 * microseconds, flows, packets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../bpf/flow.h"

#define MAP_ENTRIES 131072
#define BATCH 16384
#define TOP 10

struct row {
	struct flow4_key key;
	__u64 packets;
};

static struct flow4_key keys[BATCH];
static struct flow_value values[BATCH];

static void check(int failed, const char *what)
{
	if (!failed)
		return;
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

/* Returns the packets of all flows. */
static __u64 drain(int fd, struct row *top, __u32 *flows)
{
	__u64 packets = 0;
	__u32 cursor, *in = NULL, count;
	int err, least = 0;

	do {
		count = BATCH;
		err = bpf_map_lookup_and_delete_batch(fd, in, &cursor, keys, values, &count, NULL);
		check(err && err != -ENOENT, "drain");
		*flows += count;
		for (__u32 i = 0; i < count; i++) {
			packets += values[i].packets;
			if (values[i].packets <= top[least].packets)
				continue;
			top[least] = (struct row) { keys[i], values[i].packets };
			for (int j = 0; j < TOP; j++)
				if (top[j].packets < top[least].packets)
					least = j;
		}
		in = &cursor;
	} while (!err);
	return packets;
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 2;

	struct bpf_object *flow = bpf_object__open(argv[1]);
	struct bpf_object *bench = bpf_object__open(argv[2]);
	__u32 flows = atoi(argv[3]), rounds = atoi(argv[4]);
	int cpus = libbpf_num_possible_cpus(), zero = 0, side = 0;
	int maps[2], maps6, outer;
	__u8 frame[64] = { [12] = 8, [14] = 0x45, [17] = 50, [23] = 17, [26] = 10, [30] = 10 };
	volatile __u32 *active;
	size_t size;
	__u32 *rodata;

	check(!flow || !bench, "open");
	rodata = (void *)bpf_map__initial_value(bpf_object__find_map_by_name(flow, ".rodata"), &size);
	rodata[0] = cpus;
	bpf_map__set_max_entries(bpf_object__find_map_by_name(flow, "packet_counters"), 2 * 2 * 2 * cpus);
	for (int i = 0; i < 2; i++)
		maps[i] = bpf_map_create(BPF_MAP_TYPE_HASH, "flows4", sizeof(struct flow4_key),
					 sizeof(struct flow_value), MAP_ENTRIES, NULL);
	maps6 = bpf_map_create(BPF_MAP_TYPE_HASH, "flows6", sizeof(struct flow6_key), sizeof(struct flow_value), 1,
			       NULL);
	bpf_map__set_inner_map_fd(bpf_object__find_map_by_name(flow, "flows4"), maps[0]);
	bpf_map__set_inner_map_fd(bpf_object__find_map_by_name(flow, "flows6"), maps6);
	check(bpf_object__load(flow), "load the flow programs");
	rodata = (void *)bpf_map__initial_value(bpf_object__find_map_by_name(bench, ".rodata"), &size);
	rodata[0] = flows;
	check(bpf_object__load(bench), "load the bench programs");
	outer = bpf_object__find_map_fd_by_name(flow, "flows4");
	for (__u32 i = 0; i < 2; i++)
		check(bpf_map_update_elem(outer, &i, &maps[i], 0), "fill the map of maps");
	active = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(bpf_object__find_map_by_name(flow, ".bss")), 0);
	check(active == MAP_FAILED, "map .bss");
	active += atoi(argv[5]) / sizeof(*active);
	int ours = bpf_program__fd(bpf_object__find_program_by_name(flow, "ingress_xdp"));
	check(bpf_map_update_elem(bpf_object__find_map_fd_by_name(bench, "target"), &zero, &ours, 0), "aim");

	for (__u32 round = 0; round < rounds; round++) {
		struct row top[TOP] = {};
		double start;
		__u32 counted = 0;
		__u64 packets;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
			    .repeat = 2 * flows);

		check(bpf_prog_test_run_opts(bpf_program__fd(bpf_object__find_program_by_name(bench, "drive")), &opts),
		      "send packets");
		start = now_us();
		*active = side ^ 1;
		check(bpf_map_update_elem(outer, &zero, &maps[0], 0), "wait");
		packets = drain(maps[side], top, &counted);
		printf("%.0f %u %llu\n", now_us() - start, counted, packets);
		side ^= 1;
	}
	return 0;
}
