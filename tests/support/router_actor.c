// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Does what the router's tests want to see, and nothing else: static, so that no loader opens files. The first argument
 * says what; what it prints is what the kernel answered. Built by tests/support/router.ts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static long answer(long result)
{
	printf("%ld\n", result < 0 ? -(long)errno : result);
	return result;
}

/* Waits until whoever started it has written a byte. */
static void await_start(void)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		exit(1);
}

/* PREFIX/0 to PREFIX/COUNT-1, none of which exists. */
static void flood(const char *prefix, long count)
{
	char path[256];

	for (long i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%ld", prefix, i);
		syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
	}
}

static void same(const char *path, long count)
{
	for (long i = 0; i < count; i++)
		close(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY));
}

static void execs(const char *self, long count)
{
	char number[32];

	for (long i = 0; i < count; i++) {
		pid_t child;

		snprintf(number, sizeof(number), "%ld", i);
		child = vfork();
		if (child == 0) {
			execl(self, self, "nothing", number, NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			exit(1);
	}
}

static void opens(const char *dir)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC };
	char path[4096];
	int at;

	at = answer(open(dir, O_DIRECTORY | O_RDONLY));
	snprintf(path, sizeof(path), "%s/created", dir);
#ifdef SYS_creat
	answer(syscall(SYS_creat, path, 0600));
#endif
	answer(syscall(SYS_openat, at, "created", O_RDWR | O_APPEND));
	answer(syscall(SYS_openat2, at, "created", &how, sizeof(how)));
#ifdef SYS_open
	answer(syscall(SYS_open, path, O_WRONLY));
#endif
	answer(syscall(SYS_openat, AT_FDCWD, "", O_RDONLY));
	answer(syscall(SYS_openat, AT_FDCWD, 8, O_RDONLY));
	answer(syscall(SYS_openat, AT_FDCWD, "bad\xff\xfe\x1b[31m\nname", O_RDONLY));
	memset(path, 'x', 300);
	path[256] = 0;
	answer(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY));
	path[256] = 'x';
	path[257] = 0;
	answer(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY));
}

static void connects(const char *port4, const char *port6)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(atoi(port4)) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port6)) };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/nonexistent/socket" };

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	answer(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&v4, sizeof(v4)));
	answer(connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&v6, sizeof(v6)));
	answer(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof(un)));
	memcpy(un.sun_path, "\0abstract\0name", 14);
	answer(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, offsetof(struct sockaddr_un, sun_path) + 14));
}

/* As root, then as nobody. */
static void violations(const char *dir)
{
	char path[4096];

	answer(setuid(0));
	answer(syscall(SYS_bpf, -1, NULL, 0));
	answer(mount("none", "/nonexistent", "tmpfs", 0, NULL));
	answer(syscall(SYS_finit_module, -1, "", 0));
	answer(ptrace(PTRACE_ATTACH, 0x7ffffff0, 0, 0));
	snprintf(path, sizeof(path), "%s/secret", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	if (setgid(65534) || setuid(65534))
		exit(1);
	answer(open(path, O_RDONLY));
	answer(unlink(path));
	answer(setuid(0));
	answer(sethostname("x", 1));
}

static void limits(void)
{
	struct rlimit none = { 3, 3 }, processes = { 0, 0 };

	setrlimit(RLIMIT_NOFILE, &none);
	answer(open("/dev/null", O_RDONLY));
	answer(socket(AF_INET, SOCK_STREAM, 0));
	if (setgid(65533) || setuid(65533) || setrlimit(RLIMIT_NPROC, &processes))
		exit(1);
	answer(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

/* Takes memory and writes to each page of it. */
static void hog(long megabytes)
{
	for (long i = 0; i < megabytes; i++) {
		volatile char *bytes = malloc(1 << 20); /* volatile, or the compiler sees that nobody reads it */

		if (!bytes)
			exit(1);
		for (int at = 0; at < 1 << 20; at += 4096)
			bytes[at] = 1;
	}
}

static void deny(long count)
{
	for (long i = 0; i < count; i++)
		syscall(SYS_finit_module, -1, (void *)0, (int)i);
}

/* Calls of the 32-bit table whose numbers are those of openat and of connect in the machine's own. */
static void foreign(void)
{
#ifdef __x86_64__
	for (int i = 0; i < 2; i++) {
		int result;

		asm volatile("int $0x80"
			     : "=a"(result)
			     : "a"(i ? SYS_connect : SYS_openat), "b"(0), "c"(0), "d"(0)
			     : "memory", "r8", "r9", "r10", "r11");
		printf("%d\n", result);
	}
#endif
}

int main(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(action, "flood") == 0 && argc == 4) {
		await_start();
		flood(argv[2], atol(argv[3]));
	} else if (strcmp(action, "same") == 0 && argc == 4)
		same(argv[2], atol(argv[3]));
	else if (strcmp(action, "execs") == 0 && argc == 3) {
		await_start();
		execs(argv[0], atol(argv[2]));
	} else if (strcmp(action, "opens") == 0 && argc == 3)
		opens(argv[2]);
	else if (strcmp(action, "connects") == 0 && argc == 4)
		connects(argv[2], argv[3]);
	else if (strcmp(action, "violations") == 0 && argc == 3)
		violations(argv[2]);
	else if (strcmp(action, "limits") == 0)
		limits();
	else if (strcmp(action, "hog") == 0 && argc == 3)
		hog(atol(argv[2]));
	else if (strcmp(action, "deny") == 0 && argc == 3)
		deny(atol(argv[2]));
	else if (strcmp(action, "foreign") == 0)
		foreign();
	else if (strcmp(action, "exit") == 0 && argc == 3)
		return atoi(argv[2]);
	else if (strcmp(action, "abort") == 0)
		abort();
	return 0;
}
