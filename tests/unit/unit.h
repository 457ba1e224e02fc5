/* SPDX-License-Identifier: MIT */
#ifndef UNIT_H
#define UNIT_H

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
/* cmocka wants the four above before it. */
#include <cmocka.h>

/* What all unit tests have in common. */

#define MIB	      0x100000ULL
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Those that this process has open, and a few that are the same each time. */
static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif /* UNIT_H */
