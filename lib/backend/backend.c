// SPDX-License-Identifier: MIT
/*
 * The table of backends that make DMABUFs, in the order in which AUTO tries them.
 * The one that can revoke a single slice comes first. Adoption isn't in it: it
 * makes nothing. A constant, no state.
 */
#include "backend.h"

#include <errno.h>
#include <stdio.h>

const struct backend *const backends[] = {&backend_export, &backend_vfio, &backend_drm,
					  &backend_p2pmem, NULL};

enum p2pdma_provider_kind backend_kind(uint32_t bar)
{
	if (bar == PCI_MEMORY_VRAM)
		return P2PDMA_PROVIDER_KIND_VRAM;
	return bar == PCI_MEMORY_P2PMEM ? P2PDMA_PROVIDER_KIND_P2PMEM : P2PDMA_PROVIDER_KIND_BAR;
}

int backend_check_export(const struct backend *backend, const struct p2pdma_context *context,
			 const struct pci_function *function, uint32_t bar,
			 char why[BACKEND_WHY_SIZE])
{
	static const char *const kinds[] = {"BARs", "vram", "p2pmem"};
	enum p2pdma_provider_kind kind = backend_kind(bar);

	if (kind == backend->kind)
		return backend->check_export(context, function, bar, why, BACKEND_WHY_SIZE);
	snprintf(why, BACKEND_WHY_SIZE, "the %s backend is for %s, not for %s", backend->name,
		 kinds[backend->kind], kinds[kind]);
	return -EOPNOTSUPP;
}

const struct backend *backend_find(uint32_t id)
{
	for (size_t i = 0; backends[i]; i++) {
		if (backends[i]->id == id)
			return backends[i];
	}
	return NULL;
}
