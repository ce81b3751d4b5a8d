// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Never loaded. A global of every type that crosses between the kernel and TypeScript, because a type only reaches BTF
 * through something that uses it; tools/layouts.ts turns that BTF into lib/wire/layouts.gen.ts. Add new types here. A
 * union stands for its members: payloads of events are added to union event_payload of event.h.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "double_buffer.h"
#include "flow.h"
#include "map_entry.h"
#include "process.h"
#include "retransmit.h"
#include "router.h"
#include "simulate.h"
#include "sketch.h"
#include "socket_owner.h"

struct flow4_key flow4_key;
struct flow6_key flow6_key;
struct flow_value flow_value;
struct packet_counters packet_counters;
struct clock_sample clock_sample_layout;
struct captured_frame captured_frame;
enum replay_shape replay_shape;

struct count_min_cell count_min_cell;
struct candidate candidate;
struct prefix_key prefix_key;
struct prefix_value prefix_value;
enum count_min_shape count_min_shape;
enum candidate_shape candidate_shape;
enum prefix_bits prefix_bits;
enum full_map full_map;

struct double_buffer double_buffer;

enum flow_direction flow_direction;
enum other_class other_class;

struct event event_layout;
union event_payload event_payload;
struct router_counters router_counters;
struct held_key held_key;
struct isolate_key isolate_key;
enum isolate_kind isolate_kind;
struct rule_key rule_key;
struct rule_path_key rule_path_key;
struct rule_net_key rule_net_key;
struct rule_bits rule_bits;
struct rule_set rule_set;

enum event_type event_type;
enum event_limit event_limit;
enum severity severity;
enum ring_id ring_id;
enum event_flag event_flag;
enum violation_kind violation_kind;
enum router_program router_program;
enum held_reason held_reason;
enum syscall_rule syscall_rule;
enum rule_dimension rule_dimension;
enum rule_structure rule_structure;

struct simulate_counters simulate_counters_layout;
enum simulated simulated;

struct process_identity process_identity;
struct process_key process_key;
struct process_value process_value;
struct process_counters process_counters_layout;
enum syscall_abi syscall_abi;
enum process_program process_program;

struct owned_address owned_address;
struct socket_key socket_key;
struct socket_owner socket_owner;

enum retransmit_place retransmit_place;

struct map_entry_request map_entry_request;
