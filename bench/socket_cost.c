// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Prints nanoseconds of a send and the receive of the same bytes over loopback, both in this process: a UDP datagram of
 * 64 bytes, then 64 bytes and 64 KiB each way in turn over a TCP connection. Then of a whole TCP connection with one
 * message of 64 bytes. Medians of runs of 100: one in which another process had the CPU does not count.
 *
 * A second line has the process's id and the ports of its two UDP sockets.
 *
 *     socket_cost RUNS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "cost.h"

#define SMALL_BYTES 64
#define LARGE_BYTES 65536

/* Holds LARGE_BYTES and what the kernel adds to them: one thread must not wait for itself. */
#define BUFFER_BYTES (4 * LARGE_BYTES)

static char message[LARGE_BYTES];
static long long udp_ns[RUNS_MAX], small_ns[RUNS_MAX], large_ns[RUNS_MAX], connection_ns[RUNS_MAX];

static int check(const char *what, int result)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static int open_socket(int type)
{
	int fd = check("socket", socket(AF_INET, type | SOCK_CLOEXEC, 0)), bytes = BUFFER_BYTES;

	check("SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
	check("SO_RCVBUF", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)));
	return fd;
}

/* Bound to a port of loopback that the kernel chooses. */
static int bound_socket(int type, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = open_socket(type);

	*address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	check("bind", bind(fd, (void *)address, length));
	check("getsockname", getsockname(fd, (void *)address, &length));
	return fd;
}

static void connect_to(int fd, struct sockaddr_in *address)
{
	check("connect", connect(fd, (void *)address, sizeof(*address)));
}

static void open_udp(int ends[2])
{
	struct sockaddr_in addresses[2];

	for (int i = 0; i < 2; i++)
		ends[i] = bound_socket(SOCK_DGRAM, &addresses[i]);
	for (int i = 0; i < 2; i++)
		connect_to(ends[i], &addresses[!i]);
}

static int listen_tcp(struct sockaddr_in *address)
{
	int listener = bound_socket(SOCK_STREAM, address);

	check("listen", listen(listener, 1));
	return listener;
}

static void open_tcp(int ends[2], int listener, struct sockaddr_in *server)
{
	int at_once = 1;

	ends[0] = open_socket(SOCK_STREAM);
	connect_to(ends[0], server);
	ends[1] = check("accept", accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	for (int i = 0; i < 2; i++)
		check("TCP_NODELAY", setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once)));
}

static void exchange(int from, int to, size_t bytes)
{
	if (send(from, message, bytes, 0) != (ssize_t)bytes ||
	    recv(to, message, bytes, MSG_WAITALL) != (ssize_t)bytes) {
		fprintf(stderr, "Cannot send and receive %zu bytes\n", bytes);
		exit(1);
	}
}

static int port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	check("getsockname", getsockname(fd, (void *)&address, &length));
	return ntohs(address.sin_port);
}

/* Nanoseconds of a run: each message goes the other way than the one before. */
static long long ping_pong_run_ns(const int ends[2], size_t bytes)
{
	long long start_ns = now_ns();

	for (int i = 0; i < CALLS_A_RUN; i++)
		exchange(ends[i % 2], ends[!(i % 2)], bytes);
	return now_ns() - start_ns;
}

/* The client resets them: none keeps its port for a minute after its end. */
static long long connection_run_ns(int listener, struct sockaddr_in *server)
{
	struct linger reset = { .l_onoff = 1 };
	long long start_ns = now_ns();
	int ends[2];

	for (int i = 0; i < CALLS_A_RUN; i++) {
		open_tcp(ends, listener, server);
		exchange(ends[0], ends[1], SMALL_BYTES);
		check("SO_LINGER", setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
		close(ends[0]);
		close(ends[1]);
	}
	return now_ns() - start_ns;
}

int main(int argc, char **argv)
{
	int runs = argc == 2 ? atoi(argv[1]) : 0, udp[2], tcp[2], listener;
	struct sockaddr_in server;

	if (runs < 1 || runs > RUNS_MAX)
		return 2;
	open_udp(udp);
	listener = listen_tcp(&server);
	open_tcp(tcp, listener, &server);
	for (int i = 0; i < runs; i++) {
		udp_ns[i] = ping_pong_run_ns(udp, SMALL_BYTES);
		small_ns[i] = ping_pong_run_ns(tcp, SMALL_BYTES);
		large_ns[i] = ping_pong_run_ns(tcp, LARGE_BYTES);
		connection_ns[i] = connection_run_ns(listener, &server);
	}
	printf("%.1f %.1f %.1f %.1f\n", median_ns(udp_ns, runs), median_ns(small_ns, runs), median_ns(large_ns, runs),
	       median_ns(connection_ns, runs));
	printf("%d %d %d\n", getpid(), port_of(udp[0]), port_of(udp[1]));
	return 0;
}
