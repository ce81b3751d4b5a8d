/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What a new program was started with, read from its stack when execve(2) returns into it. The kernel has just laid the
 * stack out, and no instruction of the program has run yet. From the stack pointer upwards lie, in words of the
 * program's own width:
 *
 *     argc | argv[0] ... argv[argc - 1] | 0 | envp[0] ... | 0 | pairs of the auxiliary vector, the last of type 0
 *
 * The argument texts lie one after another from argv[0] on, then those of the environment, then the file name, whose
 * address is in the auxiliary vector.
 *
 * Contract: find_exec_texts(stack, word_bytes) leaves in the scratch space of PROGRAM_EXEC where the arguments end and
 * where the file name is, each 0 when it is not known. It answers 0 when the file name was not found within the bounds
 * below.
 */
#pragma once

#include "router_record.h"

#define AUX_EXECFN 31

/* Variables of an environment that is looked through; nearly all are far smaller. */
#define EXEC_WORDS_MAX 1024
/* Pairs of the auxiliary vector: kernels give about 25. */
#define EXEC_AUX_MAX 64

static __always_inline __u64 read_word(__u64 address, __u32 word_bytes)
{
	__u64 word = 0;

	if (bpf_probe_read_user(&word, word_bytes == 4 ? 4 : 8, (void *)address))
		return 0;
	return word;
}

/* On its own, since a loop inline would be checked for each state that leads to it. */
__noinline int find_exec_texts(__u64 stack, __u32 word_bytes)
{
	struct scratch *scratch = scratch_of(PROGRAM_EXEC);
	__u64 at, word = 0;
	__u32 i;

	if (!scratch)
		return 0;
	at = stack + (read_word(stack, word_bytes) + 2) * word_bytes;
	scratch->exec_args_end = read_word(at, word_bytes);
	scratch->exec_filename = 0;
	for (i = 0; i < EXEC_WORDS_MAX; i++) {
		word = read_word(at, word_bytes);
		at += word_bytes;
		if (!word)
			break;
	}
	if (i == EXEC_WORDS_MAX)
		return 0;
	for (i = 0; i < EXEC_AUX_MAX; i++) {
		word = read_word(at, word_bytes);
		if (!word || word == AUX_EXECFN)
			break;
		at += 2 * word_bytes;
	}
	if (word != AUX_EXECFN)
		return 0;
	scratch->exec_filename = read_word(at + word_bytes, word_bytes);
	/* Without an environment the file name follows the arguments. */
	if (!scratch->exec_args_end)
		scratch->exec_args_end = scratch->exec_filename;
	return 1;
}
