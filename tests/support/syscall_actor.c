// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Makes system calls and uses sockets in ways that the tests of process activity know exactly. The first argument says
 * what; static, so that no loader adds to it. Built by tests/support/processes.ts.
 *
 *     calls N                 N times: getppid; close of a bad descriptor; then a few sleeps of a millisecond
 *     move N                  N times: pwrite64 of 7 bytes, readv of up to 100 from the file's start
 *     threads THREADS N       each thread makes N calls of getppid
 *     exec N PATH ARGUMENTS   N calls of getppid, then execve
 *     thread-exec N PATH ARGUMENTS   the same from another thread than the first
 *     forks N PATH            N times: vfork, execve of PATH, wait4
 *     tables N                N calls of getppid through the 32-bit table, 2 N through x32's, 3 N of no number at all
 *     reuse N                 N calls of getppid in a child, then 2 N in another of the same number
 *     sockets                 does what lines on its standard input say; see run_line()
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLEEPS 5
#define SLEEP_NS 1000000
#define THREADS_MAX 64

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void ask_parent(long calls)
{
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
}

/* Prints nanoseconds of all calls of getppid, of all sleeps, of the longest sleep, as seen from here. */
static void calls(long count)
{
	struct timespec sleep = { .tv_nsec = SLEEP_NS };
	long long start_ns = now_ns(), asked_ns, slept_ns = 0, longest_ns = 0;

	ask_parent(count);
	asked_ns = now_ns() - start_ns;
	for (long i = 0; i < count; i++)
		syscall(SYS_close, -1);
	for (int i = 0; i < SLEEPS; i++) {
		long long before_ns = now_ns(), ns;

		syscall(SYS_nanosleep, &sleep, NULL);
		ns = now_ns() - before_ns;
		slept_ns += ns;
		if (ns > longest_ns)
			longest_ns = ns;
	}
	printf("%lld %lld %lld\n", asked_ns, slept_ns, longest_ns);
}

/* Prints the bytes written and read. */
static void move_bytes(long count)
{
	char bytes[100] = {};
	struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	long written = 0, received = 0;
	int fd = memfd_create("moved", 0);

	for (long i = 0; i < count; i++) {
		written += pwrite(fd, bytes, 7, 0);
		lseek(fd, 0, SEEK_SET);
		received += readv(fd, &part, 1);
	}
	printf("%ld %ld\n", written, received);
}

static void *thread(void *count)
{
	/* Not the process's name. */
	pthread_setname_np(pthread_self(), "thread");
	ask_parent((intptr_t)count);
	return NULL;
}

static void threads(int number, long count)
{
	pthread_t ids[THREADS_MAX];

	if (number > THREADS_MAX)
		exit(2);
	for (int i = 0; i < number; i++)
		if (pthread_create(&ids[i], NULL, thread, (void *)(intptr_t)count))
			exit(1);
	for (int i = 0; i < number; i++)
		pthread_join(ids[i], NULL);
}

static void exec_after(long count, char **command)
{
	ask_parent(count);
	execv(command[0], command);
	fail("execve");
}

struct execution {
	long count;
	char **command;
};

static void *exec_thread(void *argument)
{
	struct execution *execution = argument;

	exec_after(execution->count, execution->command);
	return NULL;
}

static void thread_exec(long count, char **command)
{
	struct execution execution = { count, command };
	pthread_t id;

	if (pthread_create(&id, NULL, exec_thread, &execution))
		exit(1);
	pthread_join(id, NULL);
}

static void forks(long count, char **command)
{
	for (long i = 0; i < count; i++) {
		pid_t child = vfork();

		if (child == 0) {
			execv(command[0], command);
			_exit(127);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			fail("fork");
	}
}

#ifdef __x86_64__
static void tables(long count)
{
	for (long i = 0; i < count; i++) {
		long result = 64; /* getppid of the 32-bit table */

		asm volatile("int $0x80" : "+a"(result) : : "memory");
	}
	for (long i = 0; i < 2 * count; i++)
		syscall(0x40000000 | SYS_getppid);
	for (long i = 0; i < 3 * count; i++)
		syscall(i % 2 ? 100000 : -1);
}
#endif

/* fork(), with a number that is free where one is wanted. */
static pid_t fork_as(pid_t wanted)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t child;

	if (wanted) {
		args.set_tid = (uintptr_t)&wanted;
		args.set_tid_size = 1;
	}
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0)
		fail("clone3");
	return child;
}

static pid_t run_child(pid_t wanted, long count)
{
	pid_t child = fork_as(wanted);

	if (child == 0) {
		ask_parent(count);
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		fail("waitpid");
	return child;
}

struct end {
	struct sockaddr_storage address;
	socklen_t length;
};

static struct end end_of(const char *address, int port)
{
	struct end end = {};
	struct sockaddr_in *v4 = (void *)&end.address;
	struct sockaddr_in6 *v6 = (void *)&end.address;

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		end.length = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		end.length = sizeof(*v6);
	} else {
		fail(address);
	}
	return end;
}

static int port_of(int fd)
{
	struct end end = { .length = sizeof(end.address) };

	if (getsockname(fd, (void *)&end.address, &end.length))
		fail("getsockname");
	return ntohs(((struct sockaddr_in *)&end.address)->sin_port);
}

static void move(int fd, long bytes, ssize_t (*part)(int, void *, size_t))
{
	static char chunk[65536];

	while (bytes > 0) {
		ssize_t n = part(fd, chunk, bytes < (long)sizeof(chunk) ? bytes : (long)sizeof(chunk));

		if (n <= 0)
			fail("move");
		bytes -= n;
	}
}

static ssize_t send_part(int fd, void *chunk, size_t bytes)
{
	return write(fd, chunk, bytes);
}

static ssize_t receive_part(int fd, void *chunk, size_t bytes)
{
	return read(fd, chunk, bytes);
}

static int sockets[2] = { -1, -1 }; /* a listening one, and the one in use */

/*
 * listen, connect, udp, try ADDRESS PORT: the answer is the local port; try does not wait. accept - 0. send - BYTES,
 * receive - BYTES. sendto-PORT ADDRESS BYTES: one datagram. child ADDRESS NUMBER: one to port 9 from a child of that
 * number, any for 0. fork - 0: the child goes on with the lines, and its number is the answer. pass - 0: the same, and
 * the parent has closed its sockets before the answer.
 */
static long run_line(const char *verb, const char *address, long number)
{
	struct end end = {};
	char datagram[1024] = {};

	if (strcmp(verb, "listen") == 0) {
		end = end_of(address, number);
		sockets[0] = socket(end.address.ss_family, SOCK_STREAM, 0);
		if (bind(sockets[0], (void *)&end.address, end.length) || listen(sockets[0], 8))
			fail(verb);
		return port_of(sockets[0]);
	}
	if (strcmp(verb, "connect") == 0) {
		end = end_of(address, number);
		sockets[1] = socket(end.address.ss_family, SOCK_STREAM, 0);
		if (connect(sockets[1], (void *)&end.address, end.length))
			fail(verb);
		return port_of(sockets[1]);
	}
	if (strcmp(verb, "try") == 0) {
		end = end_of(address, number);
		sockets[1] = socket(end.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(sockets[1], (void *)&end.address, end.length) && errno != EINPROGRESS)
			fail(verb);
		return port_of(sockets[1]);
	}
	if (strcmp(verb, "accept") == 0) {
		sockets[1] = accept(sockets[0], NULL, NULL);
		return sockets[1] < 0 ? -errno : 0;
	}
	if (strcmp(verb, "udp") == 0) {
		end = end_of(address, number);
		sockets[1] = socket(end.address.ss_family, SOCK_DGRAM, 0);
		if (bind(sockets[1], (void *)&end.address, end.length))
			fail(verb);
		return port_of(sockets[1]);
	}
	if (strcmp(verb, "send") == 0) {
		move(sockets[1], number, send_part);
		return number;
	}
	if (strcmp(verb, "receive") == 0) {
		move(sockets[1], number, receive_part);
		return number;
	}
	if (strncmp(verb, "sendto-", 7) == 0) {
		end = end_of(address, atoi(verb + 7));
		return sendto(sockets[1], datagram, number, 0, (void *)&end.address, end.length);
	}
	if (strcmp(verb, "child") == 0) {
		pid_t child = fork_as(number);

		end = end_of(address, 9);
		if (child == 0)
			_exit(sendto(sockets[1], datagram, 1, 0, (void *)&end.address, end.length) != 1);
		if (waitpid(child, NULL, 0) != child)
			fail(verb);
		return child;
	}
	if (strcmp(verb, "fork") == 0 || strcmp(verb, "pass") == 0) {
		int closed[2];
		pid_t child;

		if (pipe(closed))
			fail(verb);
		child = fork();
		close(closed[child > 0 ? 0 : 1]);
		if (child > 0) {
			int status;

			if (strcmp(verb, "pass") == 0) {
				close(sockets[0]);
				close(sockets[1]);
			}
			close(closed[1]);
			/* The child has the sockets and the lines; what it prints is the answer to this one too. */
			waitpid(child, &status, 0);
			_exit(WEXITSTATUS(status));
		}
		if (read(closed[0], &number, 1) || close(closed[0]))
			fail(verb);
		return getpid();
	}
	errno = EINVAL;
	fail(verb);
	return 0;
}

static void run_lines(void)
{
	char verb[32], address[64];
	long number;

	while (scanf("%31s %63s %ld", verb, address, &number) == 3) {
		printf("%ld\n", run_line(verb, address, number));
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "";
	long count = argc > 2 ? atol(argv[2]) : 0;

	if (strcmp(action, "calls") == 0) {
		calls(count);
	} else if (strcmp(action, "move") == 0) {
		move_bytes(count);
	} else if (strcmp(action, "threads") == 0 && argc > 3) {
		threads(count, atol(argv[3]));
	} else if (strcmp(action, "exec") == 0 && argc > 3) {
		exec_after(count, argv + 3);
	} else if (strcmp(action, "thread-exec") == 0 && argc > 3) {
		thread_exec(count, argv + 3);
	} else if (strcmp(action, "forks") == 0 && argc > 3) {
		forks(count, argv + 3);
#ifdef __x86_64__
	} else if (strcmp(action, "tables") == 0) {
		tables(count);
#endif
	} else if (strcmp(action, "reuse") == 0) {
		pid_t child = run_child(0, count);

		run_child(child, 2 * count);
		printf("%d\n", child);
	} else if (strcmp(action, "sockets") == 0) {
		run_lines();
	} else {
		return 2;
	}
	return 0;
}
