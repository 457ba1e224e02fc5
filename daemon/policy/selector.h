/* SPDX-License-Identifier: MIT */
#ifndef SELECTOR_H
#define SELECTOR_H

#include "client/identity.h"

/*
 * Which providers somebody means: in requests, in rules and on the command line.
 *
 *	*				every provider, published ones too; but for a lease, only what
 *					is a device's, and no pool of p2pmem
 *	0000:41:00.0			everything of a function
 *	0000:41:00.0/2			one BAR, whatever is in the slot now
 *	0000:41:00.0/2@77		one BAR of one arrival
 *	0000:43:00.0/vram		memory of a DRM device
 *	0000:42:00.0/p2pmem		memory that the kernel has struct pages for
 *	10ee:903f   10ee:*		vendor and device
 *	class:0302  class:03		PCI class, or class and subclass, or all three bytes
 *	backend:vfio			export, vfio, drm, p2pmem, published
 *	published:NAME  published:*	what somebody published; NAME may end in *
 */
struct selector {
	enum selector_kind {
		SELECTOR_ALL = 0,
		SELECTOR_FUNCTION,
		SELECTOR_BAR,
		SELECTOR_ID,
		SELECTOR_CLASS,
		SELECTOR_BACKEND,
		SELECTOR_PUBLISHED,
	} kind;
	struct pci_provider_name name; /* FUNCTION, BAR */
	uint32_t vendor_id;	       /* ID */
	uint32_t device_id;
	bool is_any_device;
	uint32_t pci_class; /* CLASS */
	uint32_t class_mask;
	uint32_t backend; /* BACKEND */
	char published[WIRE_NAME_SIZE];
	bool is_prefix; /* PUBLISHED: the name goes on */
};

/* -EINVAL for what isn't one. */
int selector_parse(const char *text, struct selector *ret_selector);

bool selector_matches(const struct selector *selector, const struct identity *identity);

/*
 * Does the selector name the slot of this provider, and only the generation is another? Then
 * what was meant has gone: -ESTALE instead of "nothing matches".
 */
bool selector_is_stale(const struct selector *selector, const struct identity *identity);

/* "export" for WIRE_BACKEND_EXPORT; "unknown". */
const char *backend_name(uint32_t backend);
/* -EINVAL. */
int backend_parse(const char *name, uint32_t *ret_backend);

#endif /* SELECTOR_H */
