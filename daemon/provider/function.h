/* SPDX-License-Identifier: MIT */
#ifndef FUNCTION_H
#define FUNCTION_H

#include <stddef.h>

#include "client/identity.h"

/* Memory of a function that peers can be given: what one provider is made of. */
struct offer {
	struct identity identity;
	uint64_t size_bytes; /* 0: sysfs doesn't say */
	const char *cause;   /* why nothing can be leased from it; "": it can */
};

/* PCI_NR_BARS of them, or vram and p2pmem. */
#define FUNCTION_OFFERS PCI_NR_BARS

/* Which backend leases from its BARs, by its driver: WIRE_BACKEND_EXPORT, WIRE_BACKEND_VFIO or 0. */
uint32_t function_backend(const struct pci_function *function);

/*
 * What the function offers now. Opens nothing but sysfs. -ENODEV: it has gone; -EIO: sysfs makes no
 * sense; what open() and read() say.
 */
int function_offers(int sysfs_fd, const struct pci_function *function,
		    struct offer ret_offers[FUNCTION_OFFERS], size_t *ret_count);

#endif /* FUNCTION_H */
