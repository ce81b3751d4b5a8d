// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What the benches of critical events watch. Each prints how many calls it made.
 *
 *     critical_load flood                   at full speed until standard input ends: opens of no name, which fail at
 *                                           once, so that little but the event takes time
 *     critical_load critical COUNT US       as root: calls setuid(0), a critical event, with a pause after each
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLS_A_LOOK 1000

static long flood(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	long calls = 0;

	while (poll(&in, 1, 0) == 0) {
		for (int i = 0; i < CALLS_A_LOOK; i++)
			open("", O_RDONLY | O_CLOEXEC);
		calls += CALLS_A_LOOK;
	}
	return calls;
}

static long criticals(long count, int pause_us)
{
	for (long i = 0; i < count; i++) {
		if (setuid(0)) {
			perror("setuid");
			exit(1);
		}
		if (pause_us)
			usleep(pause_us);
	}
	return count;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "flood"))
		printf("%ld\n", flood());
	else if (argc == 4 && !strcmp(argv[1], "critical"))
		printf("%ld\n", criticals(atol(argv[2]), atoi(argv[3])));
	else
		return 2;
	return 0;
}
