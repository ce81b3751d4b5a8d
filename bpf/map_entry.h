/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What lib/ffi/map_entry.ts asks of map_entry.bpf.c, in the place of a packet. */
#pragma once

#include <linux/types.h>

#define MAP_ENTRY_KEY_MAX_BYTES 64

struct map_entry_request {
	__u64 delta; /* added, modulo 2^64 */
	__u8 key[MAP_ENTRY_KEY_MAX_BYTES]; /* zeros behind a shorter one */
};
