/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Rules, filters and watch lists: judge() decides how severe a record is and whether anybody wants it.
 *
 * Contract: the caller reads the generation of `rules` once an event, passes its lowest bit as `side` to every function
 * here, and writes the generation into the record. `scratch` holds a complete record. A rule is a bit, and so are
 * filters and watch lists; where several match, the lowest bit applies.
 */
#pragma once

#include <linux/in.h>

#include <bpf/bpf_endian.h>

#include "double_buffer.h"
#include "router_record.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* 0 -> the part of a rule set that no table below holds */
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

/* Which side of the tables above is in force. An event's rules_generation is the generation it was judged by. */
struct double_buffer rules = {};
/* Leaves what asks nothing of a dimension, and what `found` fulfils. */
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

/* The conditions that a value fulfils; NULL for none. */
static __always_inline const struct rule_bits *bits_of_value(__u32 side, __u32 dimension, __u64 value, __u64 more)
{
	struct rule_key key = { .value = { value, more }, .dimension = dimension };

	return DOUBLE_BUFFER_LOOKUP(rule_values, side, &key);
}

/* The conditions that the record's text fulfils as a path; NULL for none. */
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

/* The conditions that an address fulfils; NULL for none. */
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

/* Leaves what asks for no network, for that of a connect's address, or for that of either end of a TCP connection. */
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

/*
 * The index of the lowest bit that is set: the number of bits below it (Warren, Hacker's Delight, section 5-1). It has
 * no branches, each of which the verifier would follow. The barriers keep the compiler from making a table of it, which
 * would lose the caller's mask, by which the verifier knows the bounds.
 */
static __always_inline __u32 lowest_bit(__u64 bits)
{
	bits = (bits & -bits) - 1;
	barrier_var(bits);
	bits -= bits >> 1 & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + (bits >> 2 & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	bits = bits * 0x0101010101010101ULL >> 56;
	barrier_var(bits);
	return bits;
}

/* Adds the watch lists that have the local port: rules and filters mean the port of the other end alone. */
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
	__u32 type = event->type & (EVENT_TYPES_MAX - 1), asked = set->asked_by_type[type], index, action;
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
	/* Paths cost the most: they come last, and only while some rule or filter still asks for one. */
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
