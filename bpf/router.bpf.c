// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Events by severity into three rings. BTF tracepoints only: they need no tracefs, hand over the registers and the
 * kernel's structs as typed pointers, and one program at sys_exit sees arguments and result together, so that nothing
 * has to be carried from a call's start to its end. It reads a path once the kernel itself has read it, when the page
 * is in memory; another thread of the process may have changed it in between.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "double_buffer.h"
#include "kernel_types.h"
#include "router.h"
#include "self.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define UNIX_PATH_BYTES 108

#define EPERM 1
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define ENFILE 23
#define EMFILE 24

#define O_CREAT_WRONLY_TRUNC 01101

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10

#define NS_PER_S 1000000000ULL

#define PAYLOAD_FIXED_MAX_BYTES 64
/* Two more than the text: room for its NUL, and one to tell a text that just fits from one that is too long. */
#define TEXT_READ_BYTES (TEXT_MAX_BYTES + 2)
/* A multiple of 8, with 8 to spare that are zeroed behind a text. */
#define PAYLOAD_MAX_BYTES (PAYLOAD_FIXED_MAX_BYTES + TEXT_READ_BYTES + ARGS_MAX_BYTES + 14)

/* Records up to this size can be held back as repeats; a power of two, 256 of them a CPU. */
#define REPEAT_MAX_BYTES 512
#define REPEAT_SLOTS 256
#define REPEAT_WINDOW_NS NS_PER_S

/*
 * What is left of rules and filters while one condition after another is looked at, and the watch lists met so far. It
 * lies in a map: the verifier forgets what it knew of the numbers, and the branches that led to them do not multiply.
 */
struct judgement {
	__u64 rules;
	__u64 filters;
	__u64 watches;
};

/* A record is built here, then copied into a ring: its length is known only when its text has been read. */
struct scratch {
	struct event event;
	__u8 payload[PAYLOAD_MAX_BYTES];
	__u32 text_at; /* what rules compare prefixes with, within the payload */
	__u32 text_len;
	__u32 port; /* of the other end; 0 for none */
	__u32 in_repeats; /* not 0 while the program is at the repeat slots */
	struct judgement left;
	struct rule_path_key path_key;
};

/* The record that repeats are held back for, and what is known of those. */
struct repeat {
	union {
		struct event event;
		__u64 words[REPEAT_MAX_BYTES / 8];
	};
	__u64 since_ns;
	__u64 first_ns;
	__u64 last_ns;
	__u64 held;
};

struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* userspace makes the real ones */
};

/* enum ring_id -> ring; userspace replaces it by a larger one while programs run. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, SHARED_RINGS);
	__array(values, struct ring_map);
} rings SEC(".maps");

/* struct isolate_key -> ring */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(key_size, sizeof(struct isolate_key));
	__uint(max_entries, ISOLATED_MAX);
	__array(values, struct ring_map);
} isolated_rings SEC(".maps");

/* enum router_program * CPUs + CPU -> counters; userspace sets max_entries and maps it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct router_counters);
	__uint(max_entries, ROUTER_PROGRAMS);
} counters SEC(".maps");

/* enum router_program -> scratch */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(max_entries, ROUTER_PROGRAMS);
} scratches SEC(".maps");

/* payload hash -> the event whose repeats are held back */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct repeat);
	__uint(max_entries, REPEAT_SLOTS);
} repeats SEC(".maps");

/* cgroup -> when its bucket will be full again; see within_rate() */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, __u64);
	__uint(max_entries, 4096);
} buckets SEC(".maps");

/* What was held back or dropped -> records */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct held_key);
	__type(value, __u64);
	__uint(max_entries, 8192);
} held SEC(".maps");

/* 0 -> what there is only one of */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct rule_set);
	__uint(max_entries, 1);
} rule_sets_side0 SEC(".maps"), rule_sets_side1 SEC(".maps");

/* struct rule_key -> struct rule_bits */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct rule_key);
	__type(value, struct rule_bits);
	__uint(max_entries, RULE_VALUES_MAX);
} rule_values_side0 SEC(".maps"), rule_values_side1 SEC(".maps");

/* struct rule_path_key -> struct rule_bits */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rule_path_key);
	__type(value, struct rule_bits);
	__uint(max_entries, RULE_PATHS_MAX);
} rule_paths_side0 SEC(".maps"), rule_paths_side1 SEC(".maps");

/* struct rule_net_key -> struct rule_bits */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rule_net_key);
	__type(value, struct rule_bits);
	__uint(max_entries, RULE_NETS_MAX);
} rule_nets_side0 SEC(".maps"), rule_nets_side1 SEC(".maps");

struct socket_owner {
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u32 pad0;
	__u64 cgroup_id;
	char comm[COMM_BYTES];
};

/* Socket -> the process that connected it or listens on it: most state changes happen in whatever process runs. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct socket_owner);
	__uint(max_entries, 16384);
} socket_owners SEC(".maps");

const volatile __u32 cpus = 1;
/* System call number -> enum syscall_rule bits; 0 for those that nobody asked about. */
const volatile __u32 syscall_rules[SYSCALLS_MAX] = {};
const volatile bool watch_limits = true;
const volatile bool hold_repeats = true;
/* Userspace draws it: nobody outside can make two payloads meet in one hash. */
const volatile __u64 hash_seed = 1;

/* Whether anybody has a ring of its own. */
const volatile bool isolate_pids = false;
const volatile bool isolate_cgroups = false;

/* In-kernel filters. */
const volatile __u32 only_rings = 7; /* bits by enum ring_id */
const volatile bool filter_pid = false;
const volatile bool filter_uid = false;
const volatile bool filter_comm = false;
const volatile __u32 only_pid = 0;
const volatile __u32 only_uid = 0;
const volatile __u64 only_comm[2] = {};

/* The rules in force: all tables above. Read once an event, whose rules_generation it is. */
struct double_buffer rules = {};

static __always_inline struct router_counters *counters_of(__u32 program)
{
	__u32 index = program * cpus + bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &index);
}

static __always_inline struct scratch *scratch_of(__u32 program)
{
	return bpf_map_lookup_elem(&scratches, &program);
}

static __always_inline void add_held(__u32 pid, __u32 reason)
{
	struct held_key key = { .pid = pid, .reason = reason };
	__u64 *count, one = 1;

	count = bpf_map_lookup_elem(&held, &key);
	if (!count && bpf_map_update_elem(&held, &key, &one, BPF_NOEXIST) == 0)
		return;
	if (!count)
		count = bpf_map_lookup_elem(&held, &key);
	if (!count) {
		key.pid = 0;
		bpf_map_update_elem(&held, &key, &(__u64) { 0 }, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&held, &key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Fills header and context for the running process. */
static __always_inline void begin(struct scratch *scratch, __u32 type, __u32 severity, __s64 result)
{
	struct event *event = &scratch->event;
	__u64 id = bpf_get_current_pid_tgid();
	__u32 cpu = bpf_get_smp_processor_id();

	__builtin_memset(event, 0, sizeof(*event));
	event->ts_ns = bpf_ktime_get_ns();
	event->first_ns = event->ts_ns;
	event->type = type;
	event->severity = severity;
	event->cpu = cpu;
	event->cpu_full = cpu;
	event->pid = id >> 32;
	event->tid = id;
	event->uid = bpf_get_current_uid_gid();
	event->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->result = result;
	event->weight = 1;
	event->repeats = 1;
	scratch->text_at = 0;
	scratch->text_len = 0;
	scratch->port = 0;
}

/* Appends text from the process's memory at payload + `at`. */
static __always_inline void read_text(struct scratch *scratch, __u32 at, __u64 address)
{
	struct event *event = &scratch->event;
	long len;

	scratch->text_at = at;
	event->data_len = at;
	if (!address)
		return;
	len = bpf_probe_read_user_str(scratch->payload + at, TEXT_READ_BYTES, (void *)address);
	if (len < 1 || len > TEXT_READ_BYTES) {
		event->flags |= EVENT_UNREADABLE;
		return;
	}
	len--;
	if (len > TEXT_MAX_BYTES) {
		event->flags |= EVENT_TRUNCATED;
		len = TEXT_MAX_BYTES;
	}
	scratch->text_len = len;
	event->data_len = at + len;
}

static __always_inline void narrow(struct judgement *left, const struct rule_set *set, __u32 dimension,
				   const struct rule_bits *found)
{
	__u64 rules = set->rules_any[dimension], filters = set->filters_any[dimension];

	if (found) {
		rules |= found->rules;
		filters |= found->filters;
		left->watches |= found->watches;
	}
	left->rules &= rules;
	left->filters &= filters;
	/* From here on the compiler reads them again, and the verifier knows nothing of them. */
	barrier();
}

static __always_inline const struct rule_bits *bits_of_value(__u32 side, __u32 dimension, __u64 value, __u64 more)
{
	struct rule_key key = { .value = { value, more }, .dimension = dimension };

	return DOUBLE_BUFFER_LOOKUP(rule_values, side, &key);
}

static __always_inline const struct rule_bits *bits_of_path(struct scratch *scratch, __u32 side)
{
	struct rule_path_key *key = &scratch->path_key;
	__u32 at = scratch->text_at, len = scratch->text_len;

	if (len == 0 || at > PAYLOAD_FIXED_MAX_BYTES)
		return NULL;
	if (len > RULE_PREFIX_MAX_BYTES)
		len = RULE_PREFIX_MAX_BYTES;
	key->prefix_bits = (sizeof(key->pad0) + len) * 8;
	key->pad0 = 0;
	/* What lies behind the text does not count: the prefix ends before it. */
	__builtin_memcpy(key->path, __builtin_assume_aligned(scratch->payload + at, 8), RULE_PREFIX_MAX_BYTES);
	return DOUBLE_BUFFER_LOOKUP(rule_paths, side, key);
}

static __always_inline const struct rule_bits *bits_of_address(__u32 side, __u32 family, const __u8 *address)
{
	const __u32 *words = __builtin_assume_aligned(address, 4);
	struct rule_net_key key = { .prefix_bits = sizeof(key.address) * 8 };
	__u32 *to = (__u32 *)key.address;

	if (family == AF_INET) {
		to[2] = bpf_htonl(0xffff);
		to[3] = words[0];
	} else {
		to[0] = words[0];
		to[1] = words[1];
		to[2] = words[2];
		to[3] = words[3];
	}
	return DOUBLE_BUFFER_LOOKUP(rule_nets, side, &key);
}

/* A network holds of a connect's address, and of either end of a TCP connection. */
static __always_inline void narrow_by_net(struct judgement *left, const struct rule_set *set, struct scratch *scratch,
					  __u32 side)
{
	__u64 filters = set->filters_any[RULE_NET];
	const struct rule_bits *found = NULL;

	if (scratch->event.type == EVENT_NETWORK_CONNECT) {
		struct connect_payload *payload = (void *)scratch->payload;

		if (payload->family != AF_UNIX)
			found = bits_of_address(side, payload->family, payload->address);
	} else if (scratch->event.type == EVENT_TCP_STATE) {
		struct tcp_payload *payload = (void *)scratch->payload;

		found = bits_of_address(side, payload->family, payload->src);
		if (found) {
			filters |= found->filters;
			left->watches |= found->watches;
		}
		found = bits_of_address(side, payload->family, payload->dst);
	}
	if (found) {
		filters |= found->filters;
		left->watches |= found->watches;
	}
	left->filters &= filters;
	barrier();
}

/* Counts the bits below it. Without branches, each of which the verifier would follow. */
static __always_inline __u32 lowest_bit(__u64 bits)
{
	bits = (bits & -bits) - 1;
	bits -= bits >> 1 & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + (bits >> 2 & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return bits * 0x0101010101010101ULL >> 56;
}

/* A watched port may be the local one too; rules and filters mean that of the other end. */
static __always_inline void watch_local_port(struct judgement *left, struct scratch *scratch, __u32 side)
{
	struct tcp_payload *payload = (void *)scratch->payload;
	const struct rule_bits *found;

	if (scratch->event.type != EVENT_TCP_STATE)
		return;
	found = bits_of_value(side, RULE_PORT, payload->sport, 0);
	left->watches |= found ? found->watches : 0;
}

/*
 * Judges the record in `scratch` by the rules in force: sets its severity by the first rule that matches, raises it by
 * watch lists. False when no filter wants it, or when it came out less severe than the set wants. A rule is a bit;
 * every condition is a mask of those that hold or do not ask, looked up only where somebody asks.
 */
static __always_inline bool judge(struct scratch *scratch, const struct rule_set *set, __u32 side)
{
	struct event *event = &scratch->event;
	__u32 type = event->type & 7, asked = set->asked_by_type[type], index, action;
	struct judgement *left = &scratch->left;

	left->rules = set->rules_by_type[type];
	left->filters = set->filters_by_type[type];
	left->watches = 0;
	if (asked & 1 << RULE_UID)
		narrow(left, set, RULE_UID, bits_of_value(side, RULE_UID, event->uid, 0));
	if (asked & 1 << RULE_PID)
		narrow(left, set, RULE_PID, bits_of_value(side, RULE_PID, event->pid, 0));
	if (asked & 1 << RULE_RESULT)
		narrow(left, set, RULE_RESULT, bits_of_value(side, RULE_RESULT, event->result, 0));
	if (asked & 1 << RULE_CGROUP)
		narrow(left, set, RULE_CGROUP, bits_of_value(side, RULE_CGROUP, event->cgroup_id, 0));
	if (asked & 1 << RULE_COMM) {
		const __u64 *comm = (const void *)event->comm;

		narrow(left, set, RULE_COMM, bits_of_value(side, RULE_COMM, comm[0], comm[1]));
	}
	if (asked & 1 << RULE_PORT) {
		narrow(left, set, RULE_PORT, bits_of_value(side, RULE_PORT, scratch->port, 0));
		watch_local_port(left, scratch, side);
	}
	if (asked & 1 << RULE_NET)
		narrow_by_net(left, set, scratch, side);
	/* The dearest comes last, and only while it could still decide. */
	if (asked & 1 << RULE_PATH &&
	    ((left->rules & ~set->rules_any[RULE_PATH]) | (left->filters & ~set->filters_any[RULE_PATH])))
		narrow(left, set, RULE_PATH, bits_of_path(scratch, side));

	if (left->filters) {
		if (!(set->keeping_filters >> lowest_bit(left->filters) & 1))
			return false;
	} else if (set->keep_only) {
		return false;
	}
	if (left->rules) {
		index = lowest_bit(left->rules) & (RULES_MAX - 1);
		action = set->actions[index];
		if (!(action & RULE_AT_LEAST) || event->severity > (action & ~RULE_AT_LEAST)) {
			event->severity = action & ~RULE_AT_LEAST;
			event->rule = index + 1;
		}
	}
	if (left->watches) {
		index = lowest_bit(left->watches) & (RULES_MAX - 1);
		if (event->severity > set->watch_severities[index]) {
			event->severity = set->watch_severities[index];
			event->rule = RULES_MAX + index + 1;
		}
	}
	return event->severity <= set->severity_max;
}

static __always_inline __u32 ring_of(__u32 severity)
{
	if (severity <= SEVERITY_ERROR)
		return RING_CRITICAL;
	return severity <= SEVERITY_INFO ? RING_NORMAL : RING_DEBUG;
}

/*
 * A token bucket in one word, the time when it would be full again: an event moves it by the time that its token takes
 * to come back, and must not move it further than a bucket of one second ahead. Two CPUs at once may cost one token for
 * two.
 */
static __always_inline bool within_rate(struct event *event, __u64 interval_ns)
{
	__u64 key = event->cgroup_id, now = event->ts_ns, full_ns, *bucket;

	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		full_ns = now + interval_ns;
		bpf_map_update_elem(&buckets, &key, &full_ns, BPF_ANY);
		return true;
	}
	full_ns = *(volatile __u64 *)bucket;
	if (full_ns < now)
		full_ns = now;
	full_ns += interval_ns;
	if (full_ns > now + NS_PER_S)
		return false;
	*(volatile __u64 *)bucket = full_ns;
	return true;
}

/*
 * Critical events wake the reader each time. The others wake it when half of their ring is filled, and again at every
 * further sixteenth, because two CPUs that submit at once may both believe that the other crosses the mark.
 */
static __always_inline __u64 wake_flag(void *ring, __u32 len_bytes)
{
	__u64 size, before, after;

	size = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	before = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	after = before + len_bytes + BPF_RINGBUF_HDR_SZ;
	if (after >= size / 2 && (before ^ after) >= size / 16)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* The ring that the event's process or cgroup has for itself; NULL for none. */
static __always_inline void *isolated_ring(const struct event *event)
{
	struct isolate_key key = { .id = event->pid, .kind = ISOLATE_PID };
	void *ring = NULL;

	if (isolate_pids)
		ring = bpf_map_lookup_elem(&isolated_rings, &key);
	if (!ring && isolate_cgroups) {
		key.id = event->cgroup_id;
		key.kind = ISOLATE_CGROUP;
		ring = bpf_map_lookup_elem(&isolated_rings, &key);
	}
	return ring;
}

/* Sets `*full` when the ring has no room now, though it could hold the record. */
static __always_inline bool put(void *ring, struct event *event, __u32 len_bytes, __u64 flags, bool *full)
{
	if (bpf_ringbuf_output(ring, event, len_bytes, flags) == 0)
		return true;
	if (len_bytes + BPF_RINGBUF_HDR_SZ <= bpf_ringbuf_query(ring, BPF_RB_RING_SIZE))
		*full = true;
	return false;
}

/* Submits to the record's own ring; a critical one may spill into the shared ones, from the critical ring on. */
static __always_inline void submit(struct event *event, struct router_counters *count, __u32 data_max)
{
	__u32 home = event->home_ring, data_len = event->data_len, first = home, len_bytes;
	bool critical = event->severity <= SEVERITY_ERROR, full = false;
	void *ring;

	if (home >= RINGS || data_len > data_max)
		return;
	len_bytes = sizeof(*event) + data_len;
	count->attempts[home]++;
	if (home == RING_ISOLATED) {
		ring = isolated_ring(event);
		if (ring &&
		    put(ring, event, len_bytes, critical ? BPF_RB_FORCE_WAKEUP : wake_flag(ring, len_bytes), &full)) {
			count->submitted[RING_ISOLATED]++;
			return;
		}
		first = critical ? RING_CRITICAL : SHARED_RINGS;
	}
	for (__u32 id = 0; id < SHARED_RINGS; id++) {
		if (id < first)
			continue;
		if (id > first && !critical)
			break;
		ring = bpf_map_lookup_elem(&rings, &id);
		if (!ring)
			continue;
		if (id != home)
			event->flags |= EVENT_SPILLED;
		if (put(ring, event, len_bytes, critical ? BPF_RB_FORCE_WAKEUP : wake_flag(ring, len_bytes), &full)) {
			count->submitted[id]++;
			if (id != home)
				count->spilled[home & 3]++;
			return;
		}
	}
	if (!full) {
		count->failures[home & 3]++;
		return;
	}
	/* A lost critical event is one, whoever sent it. */
	count->dropped[critical ? RING_CRITICAL : home & 3]++;
	count->dropped_by_type[event->type & 7]++;
	add_held(event->pid, HELD_DROPPED);
}

/*
 * Sends a record for what a slot holds back since `since_max_ns` or before. A global function, as others here are: the
 * verifier takes each once, on its own, whereas inline the states of their loops multiply.
 */
__noinline int flush_repeat(__u32 program, __u32 slot, __u64 since_max_ns)
{
	struct router_counters *count = counters_of(program);
	struct repeat *repeat = bpf_map_lookup_elem(&repeats, &slot);
	struct event *event;

	if (!count || !repeat || !repeat->held || repeat->since_ns > since_max_ns)
		return 0;
	event = &repeat->event;
	event->ts_ns = repeat->last_ns;
	event->first_ns = repeat->first_ns;
	event->repeats = repeat->held;
	event->weight = 1;
	event->flags = (event->flags & ~(EVENT_SAMPLED | EVENT_SPILLED)) | EVENT_REPEATED;
	repeat->held = 0;
	count->flushed++;
	submit(event, count, REPEAT_MAX_BYTES - sizeof(*event));
	return 0;
}

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* Hashes the payload into event.payload_hash; 0 for a record that is too large to be kept. */
__noinline int hash_payload(__u32 program)
{
	struct scratch *scratch = scratch_of(program);
	__u64 hash = hash_seed;
	struct event *event;
	__u32 data_len;

	if (!scratch)
		return 0;
	event = &scratch->event;
	data_len = event->data_len;
	if (data_len > REPEAT_MAX_BYTES - sizeof(*event))
		return 0;
	/* The last word may hold bytes of an earlier, longer payload. */
	for (__u32 i = 0; i < 8; i++)
		scratch->payload[data_len + i] = 0;
	/* A file that opens as another descriptor is the same event; one that fails otherwise is not. */
	hash = mix(hash, event->result < 0 ? event->result : 0);
	hash = mix(hash, (__u64)event->pid << 32 | event->type << 8 | event->severity);
	for (__u32 i = 0; i < (REPEAT_MAX_BYTES - sizeof(*event)) / 8 && i * 8 < data_len; i++)
		hash = mix(hash, ((__u64 *)scratch->payload)[i]);
	event->payload_hash = hash | 1;
	return 1;
}

/* Keeps the record in a slot, to hold back its repeats from now on. */
__noinline int keep_record(__u32 program, __u32 slot)
{
	struct repeat *repeat = bpf_map_lookup_elem(&repeats, &slot);
	struct scratch *scratch = scratch_of(program);
	__u32 record_len;

	if (!scratch || !repeat)
		return 0;
	record_len = sizeof(struct event) + scratch->event.data_len;
	for (__u32 i = 0; i < REPEAT_MAX_BYTES / 8 && i * 8 < record_len; i++)
		repeat->words[i] = ((__u64 *)scratch)[i];
	repeat->since_ns = scratch->event.ts_ns;
	return 0;
}

/* True when the record repeats one of the last second, and was counted there instead. */
static __always_inline bool held_as_repeat(__u32 program, struct scratch *scratch, struct router_counters *count)
{
	struct event *event = &scratch->event;
	struct repeat *repeat;
	__u32 slot;

	if (!hash_payload(program))
		return false;
	slot = event->payload_hash >> 32 & (REPEAT_SLOTS - 1);
	repeat = bpf_map_lookup_elem(&repeats, &slot);
	if (!repeat)
		return false;
	if (repeat->event.payload_hash == event->payload_hash && repeat->event.pid == event->pid &&
	    repeat->event.type == event->type && event->ts_ns - repeat->since_ns < REPEAT_WINDOW_NS) {
		if (!repeat->held)
			repeat->first_ns = event->ts_ns;
		repeat->last_ns = event->ts_ns;
		repeat->held++;
		count->repeats_held++;
		return true;
	}
	flush_repeat(program, slot, ~0ULL);
	keep_record(program, slot);
	return false;
}

/*
 * A debug ring that fills up takes one in 4, then one in 16, each of which stands for that many; never more than one in
 * `one_in_least`. False: left out.
 */
static __always_inline bool sampled(struct event *event, __u32 one_in_least)
{
	__u32 id = RING_DEBUG, one_in = 1;
	__u64 used, size;
	void *ring;

	ring = bpf_map_lookup_elem(&rings, &id);
	if (!ring)
		return true;
	used = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	size = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	if (used >= size / 4 * 3)
		one_in = used < size / 8 * 7 ? 4 : 16;
	if (one_in < one_in_least)
		one_in = one_in_least;
	if (one_in <= 1)
		return true;
	if (bpf_get_prandom_u32() % one_in)
		return false;
	event->weight = one_in;
	event->flags |= EVENT_SAMPLED;
	return true;
}

/* Judges the record in `scratch` and sends it on its way, or counts why not. */
__noinline int route(__u32 program)
{
	struct router_counters *count = counters_of(program);
	struct scratch *scratch = scratch_of(program);
	__u32 generation = double_buffer_generation(&rules), side = generation & 1, zero = 0;
	struct rule_set *set;
	struct event *event;

	if (!count || !scratch)
		return 0;
	event = &scratch->event;
	count->seen++;
	if ((filter_pid && event->pid != only_pid) || (filter_uid && event->uid != only_uid) ||
	    (filter_comm && (((__u64 *)event->comm)[0] != only_comm[0] || ((__u64 *)event->comm)[1] != only_comm[1]))) {
		count->filtered++;
		return 0;
	}
	event->rules_generation = generation;
	set = DOUBLE_BUFFER_LOOKUP(rule_sets, side, &zero);
	if (!set || !judge(scratch, set, side)) {
		count->filtered++;
		return 0;
	}
	event->home_ring = ring_of(event->severity);
	if (!(only_rings >> event->home_ring & 1)) {
		count->filtered++;
		return 0;
	}
	/* Alone in its ring, it crowds out nobody: nothing of it is held back. */
	if ((isolate_pids || isolate_cgroups) && isolated_ring(event))
		event->home_ring = RING_ISOLATED;
	if (event->home_ring == RING_DEBUG && event->type == EVENT_FILE_OPEN && hold_repeats) {
		bool is_held;

		scratch->in_repeats = 1;
		is_held = held_as_repeat(program, scratch, count);
		scratch->in_repeats = 0;
		if (is_held)
			return 0;
	}
	if (event->home_ring != RING_CRITICAL && event->home_ring != RING_ISOLATED && set->rate_interval_ns &&
	    !within_rate(event, set->rate_interval_ns)) {
		count->rate_limited++;
		add_held(event->pid, HELD_RATE_LIMITED);
		return 0;
	}
	if (event->home_ring == RING_DEBUG && !sampled(event, set->debug_one_in)) {
		count->sampled_out++;
		return 0;
	}
	submit(event, count, PAYLOAD_MAX_BYTES);
	return 0;
}

static __always_inline bool is_self(void)
{
	return bpf_get_current_pid_tgid() >> 32 == self_tgid;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, __s32 old_pid, struct linux_binprm *bprm)
{
	struct scratch *scratch = scratch_of(PROGRAM_EXEC);
	struct exec_payload *payload;
	__u32 text_len, args_len;
	__u64 args_bytes;

	if (!scratch || is_self())
		return 0;
	begin(scratch, EVENT_PROCESS_EXEC, SEVERITY_INFO, 0);
	if (scratch->event.uid == 0)
		scratch->event.severity = SEVERITY_CRITICAL;
	payload = (void *)scratch->payload;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->ppid = task->real_parent->tgid;
	payload->argc = bprm->argc;
	/* The kernel has just written both to the new stack. */
	read_text(scratch, sizeof(*payload), bprm->exec);
	text_len = scratch->text_len;
	if (text_len > TEXT_MAX_BYTES)
		return 0;
	payload->filename_len = text_len;

	args_bytes = task->mm->arg_end - task->mm->arg_start;
	args_len = args_bytes;
	if (args_bytes > ARGS_MAX_BYTES) {
		scratch->event.flags |= EVENT_TRUNCATED;
		args_len = ARGS_MAX_BYTES;
	}
	if (args_len > ARGS_MAX_BYTES)
		return 0;
	if (bpf_probe_read_user(scratch->payload + sizeof(*payload) + text_len, args_len,
				(void *)task->mm->arg_start)) {
		scratch->event.flags |= EVENT_UNREADABLE;
		args_len = 0;
	}
	payload->args_len = args_len;
	scratch->event.data_len = sizeof(*payload) + text_len + args_len;
	return route(PROGRAM_EXEC);
}

/* A process ends with its leader; the end of another thread is no event. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct exit_payload *payload;
	struct scratch *scratch;

	if (task->pid != task->tgid || is_self())
		return 0;
	scratch = scratch_of(PROGRAM_EXIT);
	if (!scratch)
		return 0;
	begin(scratch, EVENT_PROCESS_EXIT, SEVERITY_DEBUG, 0);
	payload = (void *)scratch->payload;
	payload->status = task->exit_code;
	payload->pad0 = 0;
	scratch->event.data_len = sizeof(*payload);
	return route(PROGRAM_EXIT);
}

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

/* Every system call of the host passes here: what is of no interest must leave within a few instructions. */
SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, void *regs, long result)
{
	struct scratch *scratch;
	int violation, limit;
	__u32 number, rule;
	__u64 args[4];

	number = syscall_number(regs);
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
	if (is_self() || is_compat_syscall())
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

/* Whoever runs when a state changes need not own the socket: the owner is noted when a process connects or listens. */
static __always_inline void set_owner(struct event *event, __u64 socket, __u32 new_state)
{
	struct socket_owner *owner, fresh;

	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) {
		__builtin_memset(&fresh, 0, sizeof(fresh));
		fresh.pid = event->pid;
		fresh.tid = event->tid;
		fresh.uid = event->uid;
		fresh.cgroup_id = event->cgroup_id;
		__builtin_memcpy(fresh.comm, event->comm, sizeof(fresh.comm));
		bpf_map_update_elem(&socket_owners, &socket, &fresh, BPF_ANY);
		return;
	}
	owner = bpf_map_lookup_elem(&socket_owners, &socket);
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
		bpf_map_delete_elem(&socket_owners, &socket);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old_state, int new_state)
{
	struct scratch *scratch = scratch_of(PROGRAM_TCP);
	struct tcp_payload *payload;
	struct sock_common *common = &sk->__sk_common;

	if (!scratch || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	begin(scratch, EVENT_TCP_STATE, SEVERITY_DEBUG, 0);
	set_owner(&scratch->event, (__u64)sk, new_state);
	if (scratch->event.pid == self_tgid)
		return 0;
	payload = (void *)scratch->payload;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->family = common->skc_family;
	payload->sport = common->skc_num;
	payload->dport = bpf_ntohs(common->skc_dport);
	payload->old_state = old_state;
	payload->new_state = new_state;
	if (payload->family == AF_INET) {
		*(__u32 *)payload->src = common->skc_rcv_saddr;
		*(__u32 *)payload->dst = common->skc_daddr;
	} else {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			((__u32 *)payload->src)[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			((__u32 *)payload->dst)[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
	scratch->port = payload->dport;
	scratch->event.data_len = sizeof(*payload);
	return route(PROGRAM_TCP);
}

/* The subject is the process that is killed, not the one that asked for memory. Linux 6.8 and later. */
SEC("tp_btf/mark_victim")
int BPF_PROG(oom_victim, struct task_struct *victim, __u32 uid)
{
	struct scratch *scratch = scratch_of(PROGRAM_OOM);
	struct violation_payload *payload;

	if (!scratch)
		return 0;
	begin(scratch, EVENT_RESOURCE_LIMIT, SEVERITY_ERROR, 0);
	scratch->event.pid = victim->tgid;
	scratch->event.tid = victim->pid;
	scratch->event.uid = uid;
#pragma unroll
	for (int i = 0; i < COMM_BYTES; i++)
		scratch->event.comm[i] = victim->comm[i];
	payload = (void *)scratch->payload;
	__builtin_memset(payload, 0, sizeof(*payload));
	payload->kind = LIMIT_OOM_VICTIM;
	scratch->event.data_len = sizeof(*payload);
	return route(PROGRAM_OOM);
}

/*
 * Sends what is held back for longer than a second. Run on each CPU by BPF_PROG_TEST_RUN only; returns 1 when it came
 * in the midst of held_as_repeat() and has to be run again. Its argument: not 0 to send all there is.
 */
SEC("raw_tp")
int flush_repeats(struct bpf_raw_tracepoint_args *ctx)
{
	struct scratch *scratch = scratch_of(PROGRAM_SYSCALL);
	__u64 since_max_ns = ctx->args[0] ? ~0ULL : bpf_ktime_get_ns() - REPEAT_WINDOW_NS;

	if (!scratch)
		return 0;
	if (*(volatile __u32 *)&scratch->in_repeats)
		return 1;
	for (__u32 slot = 0; slot < REPEAT_SLOTS; slot++)
		flush_repeat(PROGRAM_FLUSH, slot, since_max_ns);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
