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
#include <time.h>
#include <unistd.h>

#define FILES_MAX 4096
#define RUNS_MAX 16384
#define CALLS_A_RUN 100

static char paths[FILES_MAX][256];
static long long open_ns[RUNS_MAX], both_ns[RUNS_MAX], clock_ns[RUNS_MAX];

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

static double median_ns(long long *ns, int runs)
{
	qsort(ns, runs, sizeof(*ns), compare);
	return (double)ns[runs / 2] / CALLS_A_RUN;
}

static void run(int index, int files)
{
	long long start_ns = now_ns();

	for (int i = 0; i < CALLS_A_RUN; i++)
		now_ns();
	clock_ns[index] = now_ns() - start_ns;
	start_ns = now_ns();
	for (int i = 0; i < CALLS_A_RUN; i++) {
		const char *path = paths[(index * CALLS_A_RUN + i) % files];
		long long before_ns = now_ns();
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		open_ns[index] += now_ns() - before_ns;
		if (fd < 0) {
			perror(path);
			exit(1);
		}
		close(fd);
	}
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
