// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The producer of the ring-read bench, on CPU 1, and its baseline: plain C on libbpf reading the same ring, on CPU 0 as
 * the reader in TypeScript. Otherwise the kernel would wake a reader where the producer runs.
 *
 *     ring_read produce PROGRAM_ID          runs the program until standard input ends
 *     ring_read consume MAP_ID MS SPIN      prints records a second, and how many records it took; SPIN 1: never waits
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../bpf/event.h"

#define RUNS_A_CALL 50000
/* The clock is looked at this often: libbpf returns only when the ring is empty, which it may never be. */
#define RECORDS_A_LOOK 1024
#define WAIT_MS 10

static __u64 counts[EVENT_TYPES][SEVERITIES];
static __u64 records;
static double end_s;

static void check(int failed, const char *what)
{
	if (!failed)
		return;
	perror(what);
	exit(1);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	check(sched_setaffinity(0, sizeof(cpus), &cpus), "choose a CPU");
}

static int produce(int program_fd)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	__u8 frame[14] = {};

	stay_on(1);
	while (poll(&in, 1, 0) == 0) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
			    .repeat = RUNS_A_CALL);

		check(bpf_prog_test_run_opts(program_fd, &opts), "run the program");
	}
	return 0;
}

static int take(void *ctx, void *data, size_t size)
{
	struct event *event = data;

	if (size >= sizeof(*event) && event->type < EVENT_TYPES && event->severity < SEVERITIES)
		counts[event->type][event->severity]++;
	return ++records % RECORDS_A_LOOK == 0 && now_s() >= end_s ? -1 : 0;
}

static int consume(int map_fd, int ms, int spin)
{
	struct ring_buffer *ring = ring_buffer__new(map_fd, take, NULL, NULL);
	double start_s;

	check(!ring, "map the ring");
	stay_on(0);
	start_s = now_s();
	end_s = start_s + ms / 1e3;
	/* On a busy machine the producer may not have run by then. */
	while (now_s() < end_s || records < RECORDS_A_LOOK) {
		if (spin)
			ring_buffer__consume(ring);
		else
			ring_buffer__poll(ring, WAIT_MS);
	}
	printf("%.0f %llu\n", records / (now_s() - start_s), records);
	return counts[EVENT_FILE_OPEN][SEVERITY_DEBUG] != records;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 3 && !strcmp(argv[1], "produce")) {
		fd = bpf_prog_get_fd_by_id(atoi(argv[2]));
		check(fd < 0, "find the program");
		return produce(fd);
	}
	if (argc == 5 && !strcmp(argv[1], "consume")) {
		fd = bpf_map_get_fd_by_id(atoi(argv[2]));
		check(fd < 0, "find the ring");
		return consume(fd, atoi(argv[3]), atoi(argv[4]));
	}
	return 2;
}
