/* SPDX-License-Identifier: MIT */
#ifndef HOTPLUG_H
#define HOTPLUG_H

#include "context/context.h"

struct hotplug;

/* Listens for PCI functions that come and go, as a source of the context. */
int hotplug_new(struct p2pdma_context *context, struct hotplug **ret_hotplug);

/* Under context->lock; NULL is allowed. */
void hotplug_free(struct hotplug *hotplug);

/* What an uevent means: exposed for the tests. Under context->lock. */
void hotplug_handle(struct p2pdma_context *context, const char *action, const char *function);

#endif /* HOTPLUG_H */
