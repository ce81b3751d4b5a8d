// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A whole process of two system calls: getppid, then exit_group. No libc, whose start makes a dozen. */
#include <sys/syscall.h>

static void call(long number, long argument)
{
#ifdef __x86_64__
	long result;

	asm volatile("syscall" : "=a"(result) : "a"(number), "D"(argument) : "rcx", "r11", "memory");
#else
	register long x8 asm("x8") = number;
	register long x0 asm("x0") = argument;

	asm volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
#endif
}

void _start(void)
{
	call(SYS_getppid, 0);
	call(SYS_exit_group, 0);
}
