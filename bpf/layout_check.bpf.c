// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Never loaded. A global of every type that crosses between the kernel and TypeScript, because a type only reaches BTF
 * through something that uses it; tools/layouts.ts turns that BTF into lib/ffi/layouts.gen.ts. Add new types here.
 */
#include "flow.h"

struct flow4_key flow4_key;
struct flow6_key flow6_key;
struct flow_value flow_value;
struct packet_counters packet_counters;
struct clock_sample clock_sample_layout;

enum flow_direction flow_direction;
enum other_class other_class;
