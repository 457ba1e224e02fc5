/* SPDX-License-Identifier: MIT */
/*
 * What bad_ioctls and bad_calls share: the node under test, a good EXPORT, and the
 * check at the end that nothing refused has left anything behind.
 */
#ifndef LAB_BAD_H
#define LAB_BAD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "common/labtest.h"

#define PAGE 4096ULL

static struct {
	const char *node;
	int fd;
	uint32_t bar;
	uint64_t bar_bytes;
} lab;

static inline void wants(long long wanted, long long got, const char *name)
{
	tap_ok(got == wanted, name, got);
}

static inline int nr_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		die(-errno, "/proc/self/fd");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static inline struct p2pdma_export_info info(void)
{
	struct p2pdma_export_info arg = {.argsz = sizeof(arg)};

	must(call(lab.fd, P2PDMA_EXPORT_INFO, &arg), "P2PDMA_EXPORT_INFO");
	return arg;
}

static const struct p2pdma_export_range one_page = {0, PAGE};

static inline struct p2pdma_export_export good_export(void)
{
	return (struct p2pdma_export_export){
		.argsz = sizeof(struct p2pdma_export_export),
		.bar = lab.bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&one_page,
		.open_flags = O_CLOEXEC | O_RDWR,
		.fd = -1,
	};
}

static inline int try_export(struct p2pdma_export_export arg)
{
	int ret = call(lab.fd, P2PDMA_EXPORT_EXPORT, &arg);

	if (ret >= 0)
		close(arg.fd);
	return ret;
}

/* EXPORT with one field changed. */
#define EXPORT_WITH(field, value)                                                                  \
	({                                                                                         \
		struct p2pdma_export_export _arg = good_export();                                  \
		_arg.field = (value);                                                              \
		try_export(_arg);                                                                  \
	})

struct leftovers {
	struct p2pdma_export_info info;
	int fds;
};

static inline struct leftovers set_up(char **argv)
{
	struct leftovers before;

	lab.node = argv[1];
	lab.bar = (uint32_t)strtoul(argv[2], NULL, 0);
	lab.fd = (int)must(open(lab.node, O_RDWR | O_CLOEXEC), lab.node);
	before = (struct leftovers){.info = info(), .fds = nr_open_fds()};
	lab.bar_bytes = before.info.bars[lab.bar].size;
	return before;
}

static inline int tear_down(const struct leftovers *before)
{
	struct p2pdma_export_info after = info();

	wants(before->info.nr_exports, after.nr_exports, "all_refused_calls_leave_no_export");
	wants((long long)before->info.exported_bytes, (long long)after.exported_bytes,
	      "all_refused_calls_leave_no_bytes");
	wants(before->fds, nr_open_fds(), "all_refused_calls_leave_no_fd");
	close(lab.fd);
	return tap_done();
}

#endif /* LAB_BAD_H */
