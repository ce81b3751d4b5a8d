/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Whose socket an end of a flow is: what socket_owner.bpf.c notes and lib/aggregate/owners/socket_owners.ts looks up.
 */
#pragma once

#include "process_identity.h"
#include "socket_key.h"

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
