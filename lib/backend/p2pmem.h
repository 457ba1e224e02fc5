/* SPDX-License-Identifier: MIT */
#ifndef BACKEND_P2PMEM_H
#define BACKEND_P2PMEM_H

#include "device.h"

/* Takes memory out of the pool that @fd, a p2pmem/allocate of the device's function, is of. */
int p2pmem_allocate(const struct device *device, int fd, uint64_t length_bytes, bool is_inherited,
		    void **ret_memory);

#endif /* BACKEND_P2PMEM_H */
