/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The types of events, the programs and system calls that they come from, and the wire format of the event rings: what
 * router.bpf.c submits and lib/events/event_decoder.ts reads. A record is a struct event and `data_len` bytes of
 * payload: the struct of its type, then that type's text. Every byte is zeroed or written before it is sent. Offsets
 * reach TypeScript through BTF (lib/wire/layouts.gen.ts).
 */
#pragma once

#include <linux/types.h>

/* In the order of EVENT_DESCRIPTIONS in lib/events/types/mod.ts. */
enum event_type {
	EVENT_PROCESS_EXEC = 0,
	EVENT_PROCESS_EXIT = 1,
	EVENT_FILE_OPEN = 2,
	EVENT_NETWORK_CONNECT = 3,
	EVENT_TCP_STATE = 4,
	EVENT_SECURITY_VIOLATION = 5,
	EVENT_RESOURCE_LIMIT = 6,
	EVENT_TYPES = 7,
};

enum event_limit {
	/* Arrays by type have as many elements. A power of two: a mask keeps an index within them, as the verifier
	   sees. */
	EVENT_TYPES_MAX = 8,
};

_Static_assert((int)EVENT_TYPES <= (int)EVENT_TYPES_MAX, "every type has its place in arrays by type");
_Static_assert((EVENT_TYPES_MAX & (EVENT_TYPES_MAX - 1)) == 0, "a mask keeps an index within EVENT_TYPES_MAX elements");

/* Programs that submit. Each has its own counters and scratch space on every CPU, since one may interrupt another. */
enum router_program {
	PROGRAM_EXEC = 0,
	PROGRAM_EXIT = 1,
	PROGRAM_SYSCALL = 2,
	PROGRAM_TCP = 3,
	PROGRAM_OOM = 4,
	PROGRAM_FLUSH = 5,
	ROUTER_PROGRAMS = 6,
};

/* Bits of syscall_rules[number]. Bits 8 to 10: 1 + the argument that points to a path or name; 0 for none. */
enum syscall_rule {
	SYSCALL_OPENAT = 1, /* dirfd, path, flags */
	SYSCALL_OPENAT2 = 2, /* dirfd, path, struct open_how */
	SYSCALL_OPEN = 4, /* path, flags */
	SYSCALL_CREAT = 8, /* path */
	SYSCALL_CONNECT = 16, /* fd, address, its length */
	SYSCALL_FORK = 32,
	SYSCALL_MAY_BE_DENIED = 64, /* EPERM and EACCES are violations */
	SYSCALL_ALWAYS = 128, /* so is any call, of the kind in bits 12 to 15 */
	SYSCALL_TWO_IDS = 2048, /* setuid's kin that take a second id */
};

enum severity {
	SEVERITY_CRITICAL = 0,
	SEVERITY_ERROR = 1,
	SEVERITY_WARNING = 2,
	SEVERITY_INFO = 3,
	SEVERITY_DEBUG = 4,
	SEVERITIES = 5,
};

/*
 * Critical and error events go to the first, warning and info to the second, debug to the third; those of an isolated
 * process or cgroup to a ring of its own.
 */
enum ring_id {
	RING_CRITICAL = 0,
	RING_NORMAL = 1,
	RING_DEBUG = 2,
	SHARED_RINGS = 3,
	RING_ISOLATED = 3,
	RINGS = 4,
};

_Static_assert((RINGS & (RINGS - 1)) == 0, "a mask keeps an index within RINGS elements");

/* Bits of event.flags. */
enum event_flag {
	EVENT_SPILLED = 1, /* the ring that the event was meant for was full */
	EVENT_SAMPLED = 2, /* one of `weight` events; the others were left out */
	EVENT_REPEATED = 4, /* stands for `repeats` events that were held back, the last of them at ts_ns */
	EVENT_TRUNCATED = 8, /* the text was longer */
	EVENT_UNREADABLE = 16, /* the text could not be read from the process's memory */
	/* The kernel did not tell: an exec's ppid, an exit's status, an out-of-memory victim's uid, cgroup and comm. */
	EVENT_INCOMPLETE = 32,
};

/* Why something is a security violation or meets a resource limit. */
enum violation_kind {
	VIOLATION_DENIED = 0, /* EPERM or EACCES */
	VIOLATION_PTRACE = 1,
	VIOLATION_SETUID_ROOT = 2,
	VIOLATION_MODULE_LOAD = 3,
	VIOLATION_BPF = 4,
	VIOLATION_MOUNT = 5,
	LIMIT_PROCESS_FILES = 6, /* EMFILE */
	LIMIT_SYSTEM_FILES = 7, /* ENFILE */
	LIMIT_MEMORY = 8, /* ENOMEM */
	LIMIT_PROCESSES = 9, /* EAGAIN from clone and its kin */
	LIMIT_OOM_VICTIM = 10,
	VIOLATION_KINDS = 11,
};

#define COMM_BYTES 16
/* A uid that no user has. */
#define UID_UNKNOWN 0xffffffffU
/* The longest path or other text of a payload, without its NUL. */
#define TEXT_MAX_BYTES 256
#define ARGS_MAX_BYTES 1024

struct event {
	/* Header: 48 bytes, the same in every version. */
	__u64 ts_ns; /* monotonic */
	__u16 type; /* enum event_type */
	__u8 severity; /* enum severity */
	__u8 cpu; /* the lower byte of context.cpu */
	__u32 pid; /* the thread group, as the initial namespace numbers it */
	__u32 uid; /* real */
	__u32 data_len; /* bytes that follow the context */
	__u64 cgroup_id;
	char comm[COMM_BYTES];
	/* Context: 48 bytes. */
	__u64 first_ns; /* when the first of the events happened that this one stands for */
	__s64 result; /* what the system call returned: -errno, 0 or positive */
	__u64 payload_hash; /* 0 unless repeats of it are held back */
	__u32 weight;
	__u32 repeats;
	__u32 tid;
	__u32 rules_generation;
	__u16 cpu_full;
	__u16 flags; /* enum event_flag */
	__u8 home_ring; /* enum ring_id: the ring that the event was meant for */
	__u8 rule; /* what set the severity: 1 + index of a rule, or 65 + index of a watch list; 0 for neither */
	__u16 pad0;
};

/* An exec. The file name follows, then the arguments, each with its NUL. */
struct exec_payload {
	__u32 ppid;
	__u32 argc;
	__u16 filename_len;
	__u16 args_len;
	__u32 pad0;
};

/* The end of a process. */
struct exit_payload {
	__u32 status; /* as wait(2) has it */
	__u32 pad0;
};

/* An open. The path follows. */
struct open_payload {
	__u64 open_flags;
	__s32 dirfd;
	__u32 syscall;
};

/* A connect. For AF_UNIX sun_path follows; an abstract one starts with a NUL. */
struct connect_payload {
	__u8 address[16];
	__u16 family;
	__u16 port; /* host byte order */
	__s32 fd;
};

/* A change of a TCP connection's state. */
struct tcp_payload {
	__u8 src[16];
	__u8 dst[16];
	__u16 family;
	__u16 sport; /* host byte order */
	__u16 dport;
	__u8 old_state;
	__u8 new_state;
};

/* A security violation or a resource limit. The path or name that the system call was given follows, where it has one.
 */
struct violation_payload {
	__u64 args[4];
	__u32 syscall;
	__u16 kind; /* enum violation_kind */
	__u16 pad0;
};

/* Every struct that may follow a struct event. */
union event_payload {
	struct exec_payload exec;
	struct exit_payload exit;
	struct open_payload open;
	struct connect_payload connect;
	struct tcp_payload tcp;
	struct violation_payload violation;
};

_Static_assert(sizeof(struct event) == 96, "a header and a context of 48 bytes each");
