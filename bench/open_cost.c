// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Opens and closes the files f0, f1, … of a folder in turn, making them first; prints nanoseconds of an openat and of
 * an openat and its close, without those of reading the clock. Medians of runs of 100: one in which another process had
 * the CPU does not count.
 *
 *     open_cost FOLDER FILES RUNS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cost.h"

#define FILES_MAX 4096

static char paths[FILES_MAX][256];
static long long open_ns[RUNS_MAX], both_ns[RUNS_MAX], clock_ns[RUNS_MAX];

static void run(int index, int files)
{
	long long start_ns;

	clock_ns[index] = clock_run_ns();
	start_ns = now_ns();
	for (int i = 0; i < CALLS_A_RUN; i++)
		open_ns[index] += open_and_close_ns(paths[(index * CALLS_A_RUN + i) % files]);
	both_ns[index] = now_ns() - start_ns;
}

int main(int argc, char **argv)
{
	int files, runs;
	double clock;

	if (argc != 4)
		return 2;
	files = atoi(argv[2]);
	runs = atoi(argv[3]);
	if (files < 1 || files > FILES_MAX || runs < 1 || runs > RUNS_MAX)
		return 2;
	for (int i = 0; i < files; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/f%d", argv[1], i);
		close(open(paths[i], O_CREAT | O_WRONLY, 0600));
	}
	for (int i = 0; i < runs; i++)
		run(i, files);
	clock = median_ns(clock_ns, runs);
	printf("%.0f %.0f\n", median_ns(open_ns, runs) - clock, median_ns(both_ns, runs) - 2 * clock);
	return 0;
}
