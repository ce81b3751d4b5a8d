// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the socket-cost bench compares with: programs that do nothing, where ebpfmon's note the owners of sockets. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tp_btf/sock_send_length")
int socket_send(void *ctx)
{
	return 0;
}

SEC("tp_btf/sock_recv_length")
int socket_receive(void *ctx)
{
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int socket_state(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
