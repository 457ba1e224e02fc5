/* SPDX-License-Identifier: MIT */
#ifndef FAKE_MEMORY_H
#define FAKE_MEMORY_H

#include <stdint.h>

/* The fake kernel's nodes of system memory; under fake_lock. */

int fake_memory_open(const char *path); /* -ENOENT: no node of it */
int fake_memory_ioctl(int fd, unsigned long request, void *argument);
int fake_memory_make(const char *name, uint64_t size_bytes);

/* In fake_sys.c: what fake_fail() asked for this call; 0: nothing. */
int fake_take_failure(unsigned long request);

#endif /* FAKE_MEMORY_H */
