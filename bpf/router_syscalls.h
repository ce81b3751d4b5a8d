/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Events of system calls: opens, connects, refusals and limits.
 *
 * Contract: syscall_returned() is called for every system call of the host, at its end. The object that includes this
 * header defines, before it, how registers are read: syscall_number(), syscall_arguments() and is_compat_return()
 * (kernel_types.h by the kernel's BTF, raw_registers.h without). Calls through a 32-bit table are numbered otherwise
 * and are left out.
 */
#pragma once

#include <linux/in6.h>

#include "router_route.h"

#define UNIX_PATH_BYTES 108

#define EPERM 1
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define ENFILE 23
#define EMFILE 24

#define O_CREAT_WRONLY_TRUNC 01101
/* Sends the event of an open, whichever call made it. */
static __always_inline void route_open(struct scratch *scratch, __u32 rule, __u32 number, const __u64 args[4],
				       long result)
{
	struct open_payload *payload = (void *)scratch->payload;
	__u64 path;

	begin(scratch, EVENT_FILE_OPEN, SEVERITY_DEBUG, result);
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->syscall = number;
	payload->dirfd = -100; /* AT_FDCWD */
	path = args[0];
	if (rule & (SYSCALL_OPENAT | SYSCALL_OPENAT2)) {
		payload->dirfd = args[0];
		path = args[1];
	}
	if (rule & SYSCALL_OPENAT)
		payload->open_flags = (__u32)args[2];
	else if (rule & SYSCALL_OPENAT2)
		/* struct open_how starts with them; what cannot be read stays 0. */
		bpf_probe_read_user(&payload->open_flags, sizeof(payload->open_flags), (void *)args[2]);
	else
		payload->open_flags = rule & SYSCALL_OPEN ? (__u32)args[1] : O_CREAT_WRONLY_TRUNC;
	read_text(scratch, sizeof(*payload), path);
	route(PROGRAM_SYSCALL);
}

/* Sends the event of a connect to an IP address or a Unix socket. */
static __always_inline void route_connect(struct scratch *scratch, const __u64 args[4], long result)
{
	struct connect_payload *payload = (void *)scratch->payload;
	void *address = (void *)args[1];
	__u64 address_len = args[2];
	__u16 family = 0;
	__be16 port = 0;

	if (address_len < sizeof(family) || bpf_probe_read_user(&family, sizeof(family), address) ||
	    (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
		return;
	begin(scratch, EVENT_NETWORK_CONNECT, SEVERITY_INFO, result);
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->family = family;
	payload->fd = args[0];
	scratch->event.data_len = sizeof(*payload);
	if (family == AF_UNIX) {
		__u64 path_len = address_len - sizeof(family);

		if (path_len > UNIX_PATH_BYTES)
			path_len = UNIX_PATH_BYTES;
		if (bpf_probe_read_user(scratch->payload + sizeof(*payload), path_len, address + sizeof(family))) {
			scratch->event.flags |= EVENT_UNREADABLE;
			path_len = 0;
		}
		scratch->text_at = sizeof(*payload);
		scratch->text_len = path_len;
		scratch->event.data_len += path_len;
	} else {
		bool is_v4 = family == AF_INET;
		__u32 at = is_v4 ? __builtin_offsetof(struct sockaddr_in, sin_addr)
				 : __builtin_offsetof(struct sockaddr_in6, sin6_addr);

		if (bpf_probe_read_user(&port, sizeof(port), address + sizeof(family)) ||
		    bpf_probe_read_user(payload->address, is_v4 ? 4 : 16, address + at))
			scratch->event.flags |= EVENT_UNREADABLE;
		payload->port = bpf_ntohs(port);
		scratch->port = payload->port;
	}
	route(PROGRAM_SYSCALL);
}

/* Sends the event of a violation or a limit; `kind` is an enum violation_kind. */
static __always_inline void route_violation(struct scratch *scratch, __u32 type, __u32 kind, __u32 rule, __u32 number,
					    const __u64 args[4], long result)
{
	struct violation_payload *payload = (void *)scratch->payload;
	__u32 path_arg = rule >> SYSCALL_PATH_SHIFT & SYSCALL_PATH_MASK;
	__u64 path = 0;

	begin(scratch, type, type == EVENT_RESOURCE_LIMIT ? SEVERITY_ERROR : SEVERITY_CRITICAL, result);
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->kind = kind;
	payload->syscall = number;
	payload->args[0] = args[0];
	payload->args[1] = args[1];
	payload->args[2] = args[2];
	payload->args[3] = args[3];
	if (path_arg == 1)
		path = args[0];
	else if (path_arg == 2)
		path = args[1];
	else if (path_arg == 3)
		path = args[2];
	read_text(scratch, sizeof(*payload), path);
	route(PROGRAM_SYSCALL);
}

/* The enum violation_kind of a system call, or -1. */
static __always_inline int violation_of(__u32 rule, const __u64 args[4], long result)
{
	__u32 kind = rule >> SYSCALL_KIND_SHIFT;

	if (rule & SYSCALL_MAY_BE_DENIED && (result == -EPERM || result == -EACCES))
		return VIOLATION_DENIED;
	if (!(rule & SYSCALL_ALWAYS))
		return -1;
	/* The real and the effective id come first in setreuid and setresuid; setuid(id) has the one. */
	if (kind == VIOLATION_SETUID_ROOT &&
	    (result || ((__u32)args[0] && (!(rule & SYSCALL_TWO_IDS) || (__u32)args[1]))))
		return -1;
	return kind;
}

/* The enum violation_kind of the limit that a system call met, or -1. */
static __always_inline int limit_of(__u32 rule, long result)
{
	if (!watch_limits)
		return -1;
	switch (result) {
	case -EMFILE:
		return LIMIT_PROCESS_FILES;
	case -ENFILE:
		return LIMIT_SYSTEM_FILES;
	case -ENOMEM:
		return LIMIT_MEMORY;
	case -EAGAIN:
		return rule & SYSCALL_FORK ? LIMIT_PROCESSES : -1;
	default:
		return -1;
	}
}

/* Sends the events of a system call. The calls that nobody asked about must leave within a few instructions. */
static __always_inline int syscall_returned(void *regs, __u32 number, long result)
{
	struct scratch *scratch;
	int violation, limit;
	__u64 args[4];
	__u32 rule;

	if (number >= SYSCALLS_MAX)
		return 0;
	rule = syscall_rules[number];
	if (!(rule & SYSCALL_ANY_RESULT) && result >= 0)
		return 0;
	syscall_arguments(regs, args);
	violation = violation_of(rule, args, result);
	limit = limit_of(rule, result);
	if (!(rule & (SYSCALL_ANY_OPEN | SYSCALL_CONNECT)) && violation < 0 && limit < 0)
		return 0;
	if (is_self() || is_compat_return(regs))
		return 0;
	scratch = scratch_of(PROGRAM_SYSCALL);
	if (!scratch)
		return 0;
	if (rule & SYSCALL_ANY_OPEN)
		route_open(scratch, rule, number, args, result);
	else if (rule & SYSCALL_CONNECT)
		route_connect(scratch, args, result);
	if (violation >= 0)
		route_violation(scratch, EVENT_SECURITY_VIOLATION, violation, rule, number, args, result);
	if (limit >= 0)
		route_violation(scratch, EVENT_RESOURCE_LIMIT, limit, rule, number, args, result);
	return 0;
}
