/* SPDX-License-Identifier: MIT */
#ifndef TOUCH_H
#define TOUCH_H

#include <setjmp.h>
#include <signal.h>

static sigjmp_buf touch_fault;

static void touch_on_fault(int signal)
{
	siglongjmp(touch_fault, signal);
}

/* The signal that touching it raises; 0: none. One thread at a time. */
static int touch(const volatile char *address)
{
	struct sigaction action = {.sa_handler = touch_on_fault}, bus, segv;
	int signal;

	sigaction(SIGBUS, &action, &bus);
	sigaction(SIGSEGV, &action, &segv);
	signal = sigsetjmp(touch_fault, 1);
	if (!signal)
		(void)*address;
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return signal;
}

#endif /* TOUCH_H */
