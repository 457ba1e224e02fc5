/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_EXPORT_H
#define SOURCE_EXPORT_H

#include "provider/provider.h"

struct broker;

/*
 * Our kernel module, one open file a function. @fd: a kept one, or -1 to open the node
 * (relative to @dev_fd). -ENODEV, -ESTALE when the descriptor is another function's.
 */
int source_export_open(int dev_fd, const struct pci_function *function, int fd,
		       struct device **ret_device);

/*
 * One that an earlier p2pd had, of a function that has left the driver; @fd is taken over. -ENODEV: its
 * removal isn't pending any more, and all is over.
 */
int source_export_take_up(const struct pci_function *function, int fd, struct device **ret_device);

/* Its file is readable: hands what the kernel did by itself to the broker. */
void source_export_read(struct broker *broker, struct device *device);
/*
 * Its function has left the driver, and nothing is mapped any more. Between sysfs saying the first and
 * this lies the time that importers take which can't be revoked.
 */
bool source_export_is_over(const struct device *device);
/* That time has begun: no new leases, and what there is ends as the kernel says, or is asked for. */
void source_export_leave(struct broker *broker, struct device *device);

#endif /* SOURCE_EXPORT_H */
