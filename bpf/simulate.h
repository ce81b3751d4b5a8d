/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What lib/simulate/event_simulator.ts and simulate.bpf.c share: where simulated events say that they come from.
 */
#pragma once

#include "event.h"

enum simulated {
	/* No process has these pids: they are above PID_MAX_LIMIT. */
	SIMULATED_PID_FIRST = 4194305,
	SIMULATED_PROCESSES = 256,
	/* One file_open in so many has a pid below 100, which the default rule drops. */
	SIMULATED_LOW_PID_ONE_IN = 8,
	/* Events of one run. */
	SIMULATED_BURST_MAX = 4096,
};

/* Of one simulator. attempts = submitted + dropped, by ring. */
struct simulate_counters {
	__u64 attempts[SHARED_RINGS];
	__u64 submitted[SHARED_RINGS];
	__u64 dropped[SHARED_RINGS];
};
