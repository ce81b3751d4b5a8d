/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What retransmit.bpf.c counts and lib/aggregate/retransmits/retransmit_table.ts reads: a __u64 of segments by struct
 * socket_key, with the namespace in each key, since two of them may use the same addresses.
 */
#pragma once

#include "socket_key.h"

/* Whose sockets; the counters are by side, then by place. */
enum retransmit_place {
	RETRANSMIT_HOME = 0, /* in the network namespace whose interfaces are watched */
	RETRANSMIT_OTHER = 1,
	RETRANSMIT_PLACES = 2,
};
