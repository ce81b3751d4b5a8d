/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the benches of system calls measure with: medians of runs of CALLS_A_RUN calls, so that a run in which another
 * process had the CPU does not count.
 */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 16384
#define CALLS_A_RUN 100

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	long long a = *(const long long *)left, b = *(const long long *)right;

	return (a > b) - (a < b);
}

/* Of one call. Sorts the runs. */
static double median_ns(long long *ns, int runs)
{
	qsort(ns, runs, sizeof(*ns), compare);
	return (double)ns[runs / 2] / CALLS_A_RUN;
}

/* Nanoseconds of a run of nothing but reading the clock. */
static inline long long clock_run_ns(void)
{
	long long start_ns = now_ns();

	for (int i = 0; i < CALLS_A_RUN; i++)
		now_ns();
	return now_ns() - start_ns;
}

/* Opens a file and closes it again; nanoseconds of the openat alone, and of reading the clock once. */
static inline long long open_and_close_ns(const char *path)
{
	long long start_ns = now_ns(), open_ns;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	open_ns = now_ns() - start_ns;
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	return open_ns;
}
