// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Events that nobody caused, for trying the pipeline: a run sends records of the router's format through its rings.
 * Run through BPF_PROG_TEST_RUN, by one thread at a time; attached to nothing. Everything about an event follows from
 * its number, but for its time. A raw tracepoint program, because a test run of XDP takes 20 ms to set up.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "simulate.h"

#define EPERM 1
#define AF_INET 2
#define TEST_NET 0xc0000200 /* 192.0.2.0/24 */

#define PATH "/usr/share/simulated/0000"
#define PATH_BYTES (sizeof(PATH) - 1)
#define FILENAME "/usr/bin/simulated"
#define FILENAME_BYTES (sizeof(FILENAME) - 1)

/* Lengths of records: a multiple of 8 is not needed. */
#define PAYLOAD_BYTES 64

struct record {
	struct event event;
	__u8 payload[PAYLOAD_BYTES];
};

struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* userspace sets the real sizes */
};

struct ring_map ring_critical SEC(".maps");
struct ring_map ring_normal SEC(".maps");
struct ring_map ring_debug SEC(".maps");

/* 0 -> counters; userspace maps it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct simulate_counters);
	__uint(max_entries, 1);
} simulate_counters SEC(".maps");

struct record record = {};
__u64 number = 0;

static __always_inline void put_open(__u32 n)
{
	struct open_payload *open = (void *)record.payload;
	char path[] = PATH;

	record.event.type = EVENT_FILE_OPEN;
	record.event.severity = SEVERITY_DEBUG;
	record.event.result = 3;
	if (n % SIMULATED_LOW_PID_ONE_IN == 5)
		record.event.pid = record.event.tid = 1 + n % 99;
	open->open_flags = 0;
	open->dirfd = -100;
	open->syscall = 257;
	path[PATH_BYTES - 1] = '0' + n % 10;
	path[PATH_BYTES - 2] = '0' + n / 10 % 10;
	__builtin_memcpy(record.payload + sizeof(*open), path, PATH_BYTES);
	record.event.data_len = sizeof(*open) + PATH_BYTES;
}

static __always_inline void put_connect(__u32 n)
{
	struct connect_payload *connect = (void *)record.payload;

	record.event.type = EVENT_NETWORK_CONNECT;
	record.event.severity = SEVERITY_INFO;
	connect->address[0] = TEST_NET >> 24;
	connect->address[1] = TEST_NET >> 16 & 0xff;
	connect->address[2] = TEST_NET >> 8 & 0xff;
	connect->address[3] = n;
	connect->family = AF_INET;
	connect->port = n % 3 ? 443 : 53;
	connect->fd = 4;
	record.event.data_len = sizeof(*connect);
}

static __always_inline void put_exec(void)
{
	struct exec_payload *exec = (void *)record.payload;

	record.event.type = EVENT_PROCESS_EXEC;
	record.event.severity = SEVERITY_INFO;
	exec->ppid = 1;
	exec->argc = 0;
	exec->filename_len = FILENAME_BYTES;
	exec->args_len = 0;
	__builtin_memcpy(record.payload + sizeof(*exec), FILENAME, FILENAME_BYTES);
	record.event.data_len = sizeof(*exec) + FILENAME_BYTES;
}

static __always_inline void put_violation(void)
{
	struct violation_payload *violation = (void *)record.payload;

	record.event.type = EVENT_SECURITY_VIOLATION;
	record.event.severity = SEVERITY_CRITICAL;
	record.event.result = -EPERM;
	violation->kind = VIOLATION_DENIED;
	violation->syscall = 165;
	record.event.data_len = sizeof(*violation);
}

static __always_inline __u32 ring_id_of(__u32 severity)
{
	return severity <= SEVERITY_ERROR ? RING_CRITICAL : severity <= SEVERITY_INFO ? RING_NORMAL : RING_DEBUG;
}

/* Wakes as the router does: critical each time, the others when half of their ring is filled. */
static __always_inline __u64 wake_flag(void *ring, __u32 id, __u32 len_bytes)
{
	__u64 before, after, size;

	if (id == RING_CRITICAL)
		return BPF_RB_FORCE_WAKEUP;
	size = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	before = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	after = before + len_bytes + BPF_RINGBUF_HDR_SZ;
	return after >= size / 2 && (before ^ after) >= size / 16 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline bool send(void *ring, __u32 id)
{
	__u32 len_bytes = sizeof(struct event) + record.event.data_len;

	/* For the verifier, which does not follow the sums above. */
	if (len_bytes > sizeof(record))
		return false;
	return bpf_ringbuf_output(ring, &record, len_bytes, wake_flag(ring, id, len_bytes)) == 0;
}

/* Makes one event. Global, so that the verifier checks it once and not once a turn of the loop. */
__noinline int simulate_one(void)
{
	struct simulate_counters *count;
	__u32 zero = 0, id, n;
	bool sent;

	count = bpf_map_lookup_elem(&simulate_counters, &zero);
	if (!count)
		return 0;
	n = number++;
	__builtin_memset(&record, 0, sizeof(record));
	record.event.ts_ns = record.event.first_ns = bpf_ktime_get_ns();
	record.event.pid = record.event.tid = SIMULATED_PID_FIRST + (n * 7) % SIMULATED_PROCESSES;
	record.event.uid = 65534;
	record.event.weight = 1;
	record.event.repeats = 1;
	record.event.rules_generation = 1;
	__builtin_memcpy(record.event.comm, "simulated", sizeof("simulated"));
	/* First every process starts, so that it is known. */
	if (n < SIMULATED_PROCESSES)
		put_exec();
	else if (n % 64 == 0)
		put_violation();
	else if (n % 4 == 2)
		put_connect(n);
	else
		put_open(n);
	id = ring_id_of(record.event.severity);
	record.event.home_ring = id;
	if (id == RING_CRITICAL) {
		count->attempts[RING_CRITICAL]++;
		sent = send(&ring_critical, id);
		sent ? count->submitted[RING_CRITICAL]++ : count->dropped[RING_CRITICAL]++;
	} else if (id == RING_NORMAL) {
		count->attempts[RING_NORMAL]++;
		sent = send(&ring_normal, id);
		sent ? count->submitted[RING_NORMAL]++ : count->dropped[RING_NORMAL]++;
	} else {
		count->attempts[RING_DEBUG]++;
		sent = send(&ring_debug, id);
		sent ? count->submitted[RING_DEBUG]++ : count->dropped[RING_DEBUG]++;
	}
	return 0;
}

/* args[0]: events to make, at most SIMULATED_BURST_MAX. */
SEC("raw_tp")
int simulate(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 events = ctx->args[0];

	for (__u32 i = 0; i < SIMULATED_BURST_MAX && i < events; i++)
		simulate_one();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
