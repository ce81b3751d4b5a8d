// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Prints nanoseconds of a getppid and of an openat of a file, without those of reading the clock. Medians of runs of
 * 100: one in which another process had the CPU does not count.
 *
 *     syscall_cost FILE RUNS
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cost.h"

static long long ask_ns[RUNS_MAX], open_ns[RUNS_MAX], clock_ns[RUNS_MAX];

static void run(const char *path, int index)
{
	long long start_ns;

	clock_ns[index] = clock_run_ns();
	start_ns = now_ns();
	for (int i = 0; i < CALLS_A_RUN; i++)
		syscall(SYS_getppid);
	ask_ns[index] = now_ns() - start_ns;
	for (int i = 0; i < CALLS_A_RUN; i++)
		open_ns[index] += open_and_close_ns(path);
}

int main(int argc, char **argv)
{
	int runs = argc == 3 ? atoi(argv[2]) : 0;

	if (runs < 1 || runs > RUNS_MAX)
		return 2;
	for (int i = 0; i < runs; i++)
		run(argv[1], i);
	printf("%.1f %.1f\n", median_ns(ask_ns, runs), median_ns(open_ns, runs) - median_ns(clock_ns, runs));
	return 0;
}
