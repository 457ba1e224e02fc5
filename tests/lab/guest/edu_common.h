/* SPDX-License-Identifier: MIT */
/*
 * What the programs around QEMU's edu device share: thin calls of the two kernel
 * interfaces, with no library between, and TAP.
 *
 * Every call returns 0 or -errno.
 */
#ifndef EDU_COMMON_H
#define EDU_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "../../../kernel/edu/p2pdma_edu.h"

static unsigned int tap_count;
static unsigned int tap_failures;

/* One test case; @detail is what @passed was computed from. */
static inline bool tap_ok(bool passed, const char *name, long long detail)
{
	tap_count++;
	if (passed) {
		printf("ok %u - %s\n", tap_count, name);
	} else {
		tap_failures++;
		printf("not ok %u - %s\n", tap_count, name);
		printf("# got %lld%s%s\n", detail, detail < 0 && detail > -4096 ? ": " : "",
		       detail < 0 && detail > -4096 ? strerror(-detail) : "");
	}
	fflush(stdout);
	return passed;
}

static inline int tap_done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failures ? 1 : 0;
}

/* For what is no test case but must work. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", strerror(errno));
	fflush(stdout);
	exit(2);
}

static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static inline int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static inline int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("open %s", path);
	return fd;
}

/* The PCI address at the end of a node's path. */
static inline void node_address(const char *path, unsigned int *domain, unsigned int *bus,
				unsigned int *devfn)
{
	const char *name = strrchr(path, '/');
	unsigned int slot, function;

	if (!name || sscanf(name, "/%x:%x:%x.%x", domain, bus, &slot, &function) != 4) {
		errno = EINVAL;
		die("%s doesn't end in a PCI address", path);
	}
	*devfn = slot << 3 | function;
}

static inline int export_bar(int exporter, uint32_t bar, const struct p2pdma_export_range *ranges,
			     uint32_t nr, struct p2pdma_export_export *arg)
{
	arg->argsz = sizeof(*arg);
	arg->bar = bar;
	arg->nr_ranges = nr;
	arg->ranges = (uintptr_t)ranges;
	arg->open_flags |= O_CLOEXEC;
	return call(exporter, P2PDMA_EXPORT_EXPORT, arg);
}

static inline int export_revoke(int exporter, uint32_t id, struct p2pdma_export_revoke *arg)
{
	*arg = (struct p2pdma_export_revoke){ .argsz = sizeof(*arg), .export_id = id };
	return call(exporter, P2PDMA_EXPORT_REVOKE, arg);
}

static inline int edu_attach(int edu, int dmabuf, uint32_t access, uint32_t flags)
{
	struct p2pdma_edu_attach arg = {
		.argsz = sizeof(arg), .flags = flags, .fd = dmabuf, .access = access,
	};

	return call(edu, P2PDMA_EDU_ATTACH, &arg);
}

static inline int edu_dma(int edu, uint32_t access, uint64_t offset, void *user, uint64_t length)
{
	struct p2pdma_edu_dma arg = {
		.argsz = sizeof(arg),
		.flags = user ? 0 : P2PDMA_EDU_DMA_INTERNAL,
		.access = access,
		.offset = offset,
		.length = length,
		.user = (uintptr_t)user,
	};

	return call(edu, P2PDMA_EDU_DMA, &arg);
}

static inline int edu_detach(int edu)
{
	return call(edu, P2PDMA_EDU_DETACH, NULL);
}

static inline struct p2pdma_edu_status edu_status(int edu, uint32_t index)
{
	struct p2pdma_edu_status arg = { .argsz = sizeof(arg), .index = index };

	if (call(edu, P2PDMA_EDU_STATUS, &arg))
		die("P2PDMA_EDU_STATUS");
	return arg;
}

#endif /* EDU_COMMON_H */
