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

#include <linux/in6.h>

#include <bpf/bpf_endian.h>

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

static __always_inline __u32 netns_of(struct sock_common *common)
{
	return ((struct sock_common___key *)common)->skc_net.net->ns.inum;
}

static __always_inline void read_key(struct sock_common *common, __u8 protocol, __u32 netns, struct socket_key *key)
{
	__u32 *local = (__u32 *)key->local, *remote = (__u32 *)key->remote;

	__builtin_memset(key, 0, sizeof(*key));
	if (common->skc_family == AF_INET) {
		local[2] = bpf_htonl(0xffff);
		local[3] = common->skc_rcv_saddr;
		if (common->skc_dport) {
			remote[2] = bpf_htonl(0xffff);
			remote[3] = common->skc_daddr;
		}
	} else {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			if (common->skc_dport)
				remote[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
	key->netns = netns;
	key->local_port = bpf_htons(common->skc_num);
	key->remote_port = common->skc_dport;
	key->proto = protocol;
}

#endif
