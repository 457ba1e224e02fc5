/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_EXPORT_H
#define SOURCE_EXPORT_H

#include "provider.h"

struct broker;

/*
 * Our kernel module, one open file a function. @fd: a kept one, or -1 to open the node
 * (relative to @dev_fd). -ENODEV, -ESTALE when the descriptor is another function's.
 */
int source_export_open(int dev_fd, const struct pci_function *function, int fd,
		       struct device **ret_device);

/* Its file is readable: hands what the kernel did by itself to the broker. */
void source_export_read(struct broker *broker, struct device *device);
/* Its function has gone, and all that it said has been read. */
bool source_export_is_gone(const struct device *device);

#endif /* SOURCE_EXPORT_H */
