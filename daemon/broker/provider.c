// SPDX-License-Identifier: MIT
/*
 * Providers as they come and go.
 *
 * A provider is known by its name with the generation: a function that is plugged in again is
 * another one, and nothing of the old one is passed on. One that goes while
 * it is leased stays, without a device and closed to new leases, until its last
 * lease is over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"

void provider_free(struct broker *broker, struct provider *provider)
{
	list_remove(&provider->link);
	list_remove(&provider->link_of_device);
	broker->nr_providers--;
	slices_done(&provider->slices);
	free(provider);
}

struct provider *broker_provider_find(struct broker *broker, const char *name)
{
	list_for_each_entry(provider, &broker->providers, struct provider, link)
		if (!strcmp(provider->identity.name, name))
			return provider;
	return NULL;
}

void broker_provider_tell(struct broker *broker, const struct provider *provider, uint32_t type)
{
	struct wire_event_monitor event = {
		.type = type,
		.size_bytes = provider->slices.size_bytes,
		.time_ns = broker->now_ns(),
	};

	wire_text_set(event.provider, sizeof(event.provider), provider->identity.name);
	broker->ops->happened(broker->data, &event, NULL);
}

int broker_provider_add(struct broker *broker, const struct identity *identity, uint64_t size_bytes,
			struct provider **ret_provider)
{
	struct provider *provider = broker_provider_find(broker, identity->name);

	if (provider) {
		/* What the journal didn't know. */
		provider->identity = *identity;
		if (provider->slices.size_bytes < size_bytes || !provider->nr_leases)
			provider->slices.size_bytes = size_bytes;
		*ret_provider = provider;
		return 0;
	}
	provider = calloc(1, sizeof(*provider));
	if (!provider)
		return -ENOMEM;
	provider->serial = broker->next_serial++;
	provider->identity = *identity;
	provider->numa_node = -1;
	slices_init(&provider->slices, size_bytes);
	list_init(&provider->leases);
	list_init(&provider->link_of_device);
	list_append(&broker->providers, &provider->link);
	broker->nr_providers++;
	*ret_provider = provider;
	return 0;
}

/* The last lease would take the provider along; it is counted once more until all are over. */
static void end_leases(struct broker *broker, struct provider *provider, uint32_t reason)
{
	provider->nr_leases++;
	list_for_each_entry_safe(lease, &provider->leases, struct lease, link_of_provider)
		broker_kernel_revoked(broker, lease, reason);
	if (--provider->nr_leases == 0 && provider->is_gone)
		provider_free(broker, provider);
}

void broker_provider_ready(struct broker *broker, struct provider *provider, bool is_kept)
{
	/* The last close of the old device file revoked them. */
	if (!is_kept && provider->nr_leases)
		end_leases(broker, provider, WIRE_REASON_KERNEL);
	broker_provider_tell(broker, provider,
			     provider->is_announced ? WIRE_MONITOR_PROVIDER_CHANGED :
						      WIRE_MONITOR_PROVIDER_ADDED);
	provider->is_announced = true;
}

void broker_provider_remove(struct broker *broker, struct provider *provider, uint32_t reason)
{
	broker_provider_tell(broker, provider, WIRE_MONITOR_PROVIDER_REMOVED);
	provider->is_announced = false;
	list_remove(&provider->link_of_device);
	provider->device = NULL;
	if (!provider->nr_leases) {
		provider_free(broker, provider);
		return;
	}
	provider->is_gone = true;
	end_leases(broker, provider, reason);
}

void broker_device_wanted(struct broker *broker, struct device *device)
{
	uint64_t deadline_ms = policy_settings(broker->policy)->revoke_deadline_ms;

	list_for_each_entry(provider, &device->providers, struct provider, link_of_device) {
		struct revoke_scope scope = {.scope = WIRE_SCOPE_PROVIDER};
		struct wire_revoke_reply reply;

		provider->is_draining = true;
		if (!selector_parse(provider->identity.name, &scope.selector))
			broker_revoke(broker, &scope, WIRE_REASON_REMOVAL, deadline_ms, &reply);
	}
}
