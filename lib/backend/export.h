/* SPDX-License-Identifier: MIT */
#ifndef BACKEND_EXPORT_H
#define BACKEND_EXPORT_H

#include <linux/p2pdma_export.h>

#include "device.h"

/* One open file of /dev/p2pdma/<function>. */
struct export_device {
	struct device device;
	struct event_source source;
	int fd;
	uint64_t features;
};

static inline struct export_device *export_device_of(struct device *device)
{
	return list_entry(device, struct export_device, device);
}

/* P2PDMA_EXPORT_STATUS. */
int export_query(struct p2pdma_buffer *buffer, struct p2pdma_export_status *ret_status);

/* Under context->lock: makes the buffer's state follow the kernel's. */
void export_take_state(struct p2pdma_buffer *buffer, const struct p2pdma_export_status *status);

/* Under context->lock. */
int export_watch(struct device *device);
void export_unwatch(struct device *device);

/* Under context->lock: takes whole records; what isn't one ends it. Exposed for the fuzzer. */
void export_take_records(struct export_device *export, const unsigned char *data, size_t length);

#endif /* BACKEND_EXPORT_H */
