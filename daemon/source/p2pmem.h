/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_P2PMEM_H
#define SOURCE_P2PMEM_H

#include "provider/provider.h"

struct broker;

/*
 * The pool of p2pmem of a function. @broker, @sysfs_fd: borrowed, live as long as the device does.
 * -EACCES, -EROFS and the like: p2pd may not open what memory is allocated through.
 */
int source_p2pmem_new(struct broker *broker, int sysfs_fd, const struct pci_function *function,
		      struct device **ret_device);

/* Is what sysfs has there now the same pool still? A driver that came back has made another. */
bool source_p2pmem_is_there(const struct device *device);

#endif /* SOURCE_P2PMEM_H */
