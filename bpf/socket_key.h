/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What tells one socket from the others, and how a program reads that from the socket itself.
 */
#pragma once

#include <linux/types.h>

/*
 * A socket as its own host sees it. IPv4 addresses are mapped into IPv6 (::ffff:192.0.2.1), so that a socket of both
 * families is found by either; one that is bound to no address has ::, or ::ffff:0.0.0.0 for IPv4. All of `remote` is
 * zero for a socket that is not connected, `local_port` for one that is about to connect and has not got its port yet.
 */
struct socket_key {
	__u8 local[16];
	__u8 remote[16];
	__u32 netns; /* inode; of owners only where the local address is not one's own: none, loopback, link-local. Else
			0 */
	__be16 local_port;
	__be16 remote_port;
	__u8 proto;
	__u8 pad0[3];
};

#ifdef __bpf__

#include <stdbool.h>

#include <linux/in6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel_types.h"

#define AF_INET 2
#define AF_INET6 10

struct ns_common___key {
	unsigned int inum;
} CO_RE;

struct net___key {
	struct ns_common___key ns;
} CO_RE;

typedef struct {
	struct net___key *net;
} CO_RE possible_net_t___key;

struct sock_common___key {
	possible_net_t___key skc_net;
} CO_RE;

/* `typed`: whether `common` is a typed pointer; a constant, as in kernel_types.h. */
static __always_inline __u32 netns_of(struct sock_common *common, bool typed)
{
	struct sock_common___key *of = (void *)common;

	return typed ? of->skc_net.net->ns.inum : BPF_CORE_READ(of, skc_net.net, ns.inum);
}

/* An IPv6 address, copied to where it can be read word by word. */
static __always_inline void copy_address(const struct in6_addr *from, bool typed, __u32 to[4])
{
	if (!typed) {
		bpf_probe_read_kernel(to, sizeof(*from), from);
		return;
	}
#pragma unroll
	for (int i = 0; i < 4; i++)
		to[i] = from->in6_u.u6_addr32[i];
}

static __always_inline void read_key(struct sock_common *common, bool typed, __u8 protocol, __u32 netns,
				     struct socket_key *key)
{
	__u32 *local = (__u32 *)key->local, *remote = (__u32 *)key->remote;
	__be16 remote_port = READ_OF(typed, common, skc_dport);

	__builtin_memset(key, 0, sizeof(*key));
	if (READ_OF(typed, common, skc_family) == AF_INET) {
		local[2] = bpf_htonl(0xffff);
		local[3] = READ_OF(typed, common, skc_rcv_saddr);
		if (remote_port) {
			remote[2] = bpf_htonl(0xffff);
			remote[3] = READ_OF(typed, common, skc_daddr);
		}
	} else {
		copy_address(&common->skc_v6_rcv_saddr, typed, local);
		if (remote_port)
			copy_address(&common->skc_v6_daddr, typed, remote);
	}
	key->netns = netns;
	key->local_port = bpf_htons(READ_OF(typed, common, skc_num));
	key->remote_port = remote_port;
	key->proto = protocol;
}

#endif
