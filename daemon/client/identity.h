/* SPDX-License-Identifier: MIT */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>

#include "common/pci.h"
#include "common/wire.h"

/* What a provider is, as selectors and policy look at it. Never changes. */
struct identity {
	char name[WIRE_NAME_SIZE]; /* "0000:41:00.0/2@77", or what it was published as */
	bool is_published;
	uint32_t backend; /* enum wire_backend */

	/* Those of a PCI function only. */
	struct pci_address address;
	uint32_t bar;
	uint64_t generation;
	uint32_t vendor_id;
	uint32_t device_id;
	uint32_t pci_class; /* 0xCCSSPP: class, subclass, programming interface */
};

#endif /* IDENTITY_H */
