/* SPDX-License-Identifier: MIT */
#ifndef PROVIDER_H
#define PROVIDER_H

#include <p2pdma/provider.h>

#include "backend/backend.h"
#include "common/pci.h"

#define NR_EXPORTERS 4

/* Never changes once it is published; only the count does. */
struct p2pdma_provider {
	unsigned int refs; /* atomic */
	struct pci_function function;
	uint32_t bar; /* or PCI_MEMORY_* */
	uint64_t size_bytes;
	char function_name[PCI_ADDRESS_SIZE];
	char name[PCI_PROVIDER_NAME_SIZE];
	char unique_name[PCI_PROVIDER_NAME_SIZE];
	struct {
		bool can_export;
		char why[BACKEND_WHY_SIZE];
	} exporters[NR_EXPORTERS];
};

#endif /* PROVIDER_H */
