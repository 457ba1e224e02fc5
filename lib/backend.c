// SPDX-License-Identifier: MIT
/*
 * The table of backends that make DMABUFs, in the order in which AUTO tries them.
 * The one that can revoke a single slice comes first. Adoption isn't in it: it
 * makes nothing. A constant, no state.
 */
#include "backend.h"

const struct backend *const backends[] = {&backend_export, &backend_vfio, NULL};

const struct backend *backend_find(uint32_t id)
{
	for (size_t i = 0; backends[i]; i++) {
		if (backends[i]->id == id)
			return backends[i];
	}
	return NULL;
}
