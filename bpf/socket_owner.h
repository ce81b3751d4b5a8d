/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Whose socket an end of a flow is: what socket_owner.bpf.c notes and lib/aggregate/socket_owners.ts looks up.
 */
#pragma once

#include "process_identity.h"

/*
 * A socket as its own host sees it. IPv4 addresses are mapped into IPv6 (::ffff:192.0.2.1), so that a socket of both
 * families is found by either; one that is bound to no address has ::, or ::ffff:0.0.0.0 for IPv4. All of `remote` is
 * zero for a socket that is not connected, `local_port` for one that is about to connect and has not got its port yet.
 */
struct socket_key {
	__u8 local[16];
	__u8 remote[16];
	__u32 netns; /* inode; only where the local address is not one's own: none, loopback, link-local. Else 0 */
	__be16 local_port;
	__be16 remote_port;
	__u8 proto;
	__u8 pad0[3];
};

/* What a socket with no address of its own may be used under: an address of its namespace, known from another one. */
struct owned_address {
	__u8 bytes[16];
};

struct socket_owner {
	struct process_identity identity;
	__u64 noted_ns; /* monotonic: when it was last seen to use the socket, exact to a second or two */
	__u32 netns; /* inode */
	__u32 pad0;
};
