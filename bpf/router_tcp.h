/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Events of TCP connections that change their state.
 *
 * Contract: tcp_changed() takes one change, with the addresses and ports as the kernel has them, in network byte order
 * but for the local port. `socket` only tells one socket from another.
 */
#pragma once

#include "router_route.h"

#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10

/* The process that an event of a connection names. */
struct tcp_owner {
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u32 pad0;
	__u64 cgroup_id;
	char comm[COMM_BYTES];
};

/* socket -> the process that connected it or listens on it */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct tcp_owner);
	__uint(max_entries, 16384);
} tcp_owners SEC(".maps");

/*
 * Notes the owner of a socket when a process connects or listens, and writes the noted owner into later events of that
 * socket, since the process that runs when a state changes need not own the socket. All members are 0 for an unknown
 * owner.
 */
static __always_inline void set_owner(struct event *event, __u64 socket, __u32 new_state)
{
	struct tcp_owner *owner, fresh;

	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) {
		__builtin_memset(&fresh, 0, sizeof(fresh));
		fresh.pid = event->pid;
		fresh.tid = event->tid;
		fresh.uid = event->uid;
		fresh.cgroup_id = event->cgroup_id;
		__builtin_memcpy(fresh.comm, event->comm, sizeof(fresh.comm));
		bpf_map_update_elem(&tcp_owners, &socket, &fresh, BPF_ANY);
		return;
	}
	owner = bpf_map_lookup_elem(&tcp_owners, &socket);
	if (!owner) {
		event->pid = event->tid = event->uid = 0;
		event->cgroup_id = 0;
		__builtin_memset(event->comm, 0, sizeof(event->comm));
		return;
	}
	event->pid = owner->pid;
	event->tid = owner->tid;
	event->uid = owner->uid;
	event->cgroup_id = owner->cgroup_id;
	__builtin_memcpy(event->comm, owner->comm, sizeof(event->comm));
	if (new_state == TCP_CLOSE)
		bpf_map_delete_elem(&tcp_owners, &socket);
}

/* A change of state. Addresses and ports are in network byte order, but for the local port. */
struct tcp_change {
	__u64 socket;
	__u16 family;
	__u16 sport; /* host byte order */
	__be16 dport;
	__u8 old_state;
	__u8 new_state;
	__be32 src[4]; /* an IPv4 address is in the first word */
	__be32 dst[4];
};

/* Sends the event of a change, unless the connection is ebpfmon's own. */
static __always_inline int tcp_changed(const struct tcp_change *change)
{
	struct scratch *scratch = scratch_of(PROGRAM_TCP);
	struct tcp_payload *payload;

	if (!scratch)
		return 0;
	begin(scratch, EVENT_TCP_STATE, SEVERITY_DEBUG, 0);
	set_owner(&scratch->event, change->socket, change->new_state);
	if (scratch->event.pid == self_tgid)
		return 0;
	payload = (void *)scratch->payload;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->family = change->family;
	payload->sport = change->sport;
	payload->dport = bpf_ntohs(change->dport);
	payload->old_state = change->old_state;
	payload->new_state = change->new_state;
	__builtin_memcpy(payload->src, change->src, sizeof(payload->src));
	__builtin_memcpy(payload->dst, change->dst, sizeof(payload->dst));
	scratch->port = payload->dport;
	scratch->event.data_len = sizeof(*payload);
	return route(PROGRAM_TCP);
}
