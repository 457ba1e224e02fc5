/* SPDX-License-Identifier: MIT */
#ifndef DRM_FACTS_H
#define DRM_FACTS_H

#include <stdint.h>

struct p2pdma_context;

/* What is known of a DRM device by its driver, for who explains a call of it. */
struct drm_facts {
	char name[32];		  /* of its driver; "": it doesn't say */
	const char *system_cause; /* why its objects are never in memory of a device; or NULL */
	const char *no_peer;	  /* why it maps no memory of other devices; or NULL */
	uint64_t memory_bytes;	  /* of the device; 0: none, or unknown */
};

/* Asks a DRM node and tells no cause; what can't be had stays as it is. */
void drm_facts_query(struct p2pdma_context *context, int fd, struct drm_facts *ret_facts);

#endif /* DRM_FACTS_H */
