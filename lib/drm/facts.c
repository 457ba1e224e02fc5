// SPDX-License-Identifier: MIT
/*
 * What is known of a DRM device by its driver, without a word about what can't be had: it is asked
 * when something has failed already. No state, no locks.
 */
#include <stdio.h>

#include "context/context.h"
#include "facts.h"
#include "object.h"

void drm_facts_query(struct p2pdma_context *context, int fd, struct drm_facts *ret_facts)
{
	struct drm_object object = {.context = context, .fd = fd};
	char name[sizeof(ret_facts->name)];
	struct told told;

	if (drm_name_query(context, fd, name, sizeof(name)))
		return;
	snprintf(ret_facts->name, sizeof(ret_facts->name), "%s", name);
	object.driver = drm_driver_find(name);
	ret_facts->system_cause = object.driver->system_cause;
	ret_facts->no_peer = object.driver->no_peer;
	cause_save(&told);
	if (object.driver->memory)
		object.driver->memory(&object, &ret_facts->memory_bytes);
	cause_restore(&told);
}
