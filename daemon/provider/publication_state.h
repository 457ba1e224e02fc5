/* SPDX-License-Identifier: MIT */
#ifndef PUBLICATION_STATE_H
#define PUBLICATION_STATE_H

#include "publication.h"

/* What publication.c and publication_policy.c share. */

struct publication {
	struct device device; /* its fd is the DMABUF */
	struct list link;     /* in its publisher */
	struct holder *publisher;
	struct provider *provider;
	uint64_t inode;
	uint32_t mode;
	uint32_t access;
	uint32_t uid;
	uint32_t gid;
	uint64_t ends_ns; /* policy doesn't allow it any more; 0: it does */
};

static inline struct publication *publication_of(const struct device *device)
{
	return list_entry(device, struct publication, device);
}

/* Its leases end for this reason, and it is freed. Its publisher isn't. */
void publication_end_one(struct publication *publication, uint32_t reason);

#endif /* PUBLICATION_STATE_H */
