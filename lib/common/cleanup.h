/* SPDX-License-Identifier: MIT */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

/* Locals that release themselves at the end of their scope. */

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define cleanup_fd   __attribute__((cleanup(cleanup_close)))
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_dir  __attribute__((cleanup(cleanup_closedir)))

/* Takes the value of a descriptor or pointer out of the reach of its clean-up. */
static inline int take_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

#endif /* COMMON_CLEANUP_H */
