// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Never loaded. A global of every type that crosses between the kernel and TypeScript, because a type only reaches BTF
 * through something that uses it; tools/layouts.ts turns that BTF into lib/ffi/layouts.gen.ts. Add new types here.
 */
#include "flow.h"
#include "router.h"

struct flow4_key flow4_key;
struct flow6_key flow6_key;
struct flow_value flow_value;
struct packet_counters packet_counters;
struct clock_sample clock_sample_layout;

enum flow_direction flow_direction;
enum other_class other_class;

struct event event_layout;
struct exec_payload exec_payload;
struct exit_payload exit_payload;
struct open_payload open_payload;
struct connect_payload connect_payload;
struct tcp_payload tcp_payload;
struct violation_payload violation_payload;
struct router_counters router_counters;
struct held_key held_key;
struct isolate_key isolate_key;
enum isolate_kind isolate_kind;
struct rule_key rule_key;
struct rule_path_key rule_path_key;
struct rule_set rule_set;

enum event_type event_type;
enum severity severity;
enum ring_id ring_id;
enum event_flag event_flag;
enum violation_kind violation_kind;
enum router_program router_program;
enum held_reason held_reason;
enum syscall_rule syscall_rule;
enum rule_dimension rule_dimension;
