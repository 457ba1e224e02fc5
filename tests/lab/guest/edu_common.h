/* SPDX-License-Identifier: MIT */
/*
 * What the programs around QEMU's edu device share: thin calls of the two kernel
 * interfaces, with no library between. Each returns 0 or -errno.
 */
#ifndef EDU_COMMON_H
#define EDU_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <linux/p2pdma_export.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../kernel/edu/p2pdma_edu.h"
#include "common/labtest.h"

static inline int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(-errno, "open %s", path);
	return fd;
}

/* The PCI address at the end of a node's path. */
static inline void node_address(const char *path, unsigned int *domain, unsigned int *bus,
				unsigned int *devfn)
{
	const char *name = strrchr(path, '/');
	unsigned int slot, function;

	if (!name || sscanf(name, "/%x:%x:%x.%x", domain, bus, &slot, &function) != 4)
		die(0, "%s doesn't end in a PCI address", path);
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
	*arg = (struct p2pdma_export_revoke){.argsz = sizeof(*arg), .export_id = id};
	return call(exporter, P2PDMA_EXPORT_REVOKE, arg);
}

/* Whether an event of @type comes in before the deadline; others are passed over. */
static inline bool wait_event(int exporter, uint32_t type, int64_t deadline,
			      struct p2pdma_export_event *ret_event)
{
	struct pollfd pfd = {.fd = exporter, .events = POLLIN};

	while (now_ns() < deadline) {
		if (poll(&pfd, 1, 100) <= 0)
			continue;
		if (read(exporter, ret_event, sizeof(*ret_event)) != sizeof(*ret_event))
			return false;
		if (ret_event->type == type)
			return true;
	}
	return false;
}

static inline int edu_attach(int edu, int dmabuf, uint32_t access, uint32_t flags)
{
	struct p2pdma_edu_attach arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.fd = dmabuf,
		.access = access,
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
	struct p2pdma_edu_status arg = {.argsz = sizeof(arg), .index = index};

	must(call(edu, P2PDMA_EDU_STATUS, &arg), "P2PDMA_EDU_STATUS");
	return arg;
}

#endif /* EDU_COMMON_H */
