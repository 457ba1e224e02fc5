/* SPDX-License-Identifier: MIT */
#ifndef IDENTITIES_H
#define IDENTITIES_H

#include "client/identity.h"

/* One of each kind, for whoever selects or decides. */

static const struct identity some_bar = {
	.name = "0000:41:00.0/2@77",
	.backend = WIRE_BACKEND_EXPORT,
	.address = {0, 0x41, 0},
	.bar = 2,
	.generation = 77,
	.vendor_id = 0x10ee,
	.device_id = 0x903f,
	.pci_class = 0x030200,
};

static const struct identity some_publication = {
	.name = "frames-1",
	.is_published = true,
	.backend = WIRE_BACKEND_PUBLISHED,
};

#endif /* IDENTITIES_H */
