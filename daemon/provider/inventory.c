// SPDX-License-Identifier: MIT
/*
 * The list of providers, kept in step with what is seen of a function.
 *
 * A provider that can be leased from has a device, and goes with it. One that can't has none, and a
 * cause: it goes when its function does, or when the function doesn't offer it any more. Looking again
 * and seeing the same tells nobody anything, however often that is done; one that becomes
 * available, or whose cause changes, stays the same provider, with whatever an administrator
 * said about it.
 */
#include <string.h>

#include "inventory.h"

static bool is_unavailable(const struct provider *provider)
{
	return !provider->device && !provider->is_gone && !provider->identity.is_published &&
	       *provider->cause;
}

static bool is_listed(const struct provider *provider, const struct offer *offer,
		      const char *driver, const char *cause)
{
	return is_unavailable(provider) && provider->identity.backend == offer->identity.backend &&
	       provider->slices.size_bytes == offer->size_bytes &&
	       !strcmp(provider->driver, driver) && !strcmp(provider->cause, cause);
}

static int add(struct broker *broker, const struct pci_function *function,
	       const struct offer *offer, struct device *device, bool is_kept, const char *cause)
{
	struct provider *provider = broker_provider_find(broker, offer->identity.name);
	int r;

	if (!device && provider && is_listed(provider, offer, function->driver, cause))
		return 0;
	r = broker_provider_add(broker, &offer->identity, offer->size_bytes, &provider);
	if (r)
		return r;
	provider->numa_node = function->numa_node;
	wire_text_set(provider->driver, sizeof(provider->driver), function->driver);
	wire_text_set(provider->cause, sizeof(provider->cause), cause);
	provider->device = device;
	provider->is_gone = false;
	if (device) {
		list_remove(&provider->link_of_device);
		list_append(&device->providers, &provider->link_of_device);
	}
	broker_provider_ready(broker, provider, is_kept);
	return 0;
}

int inventory_add(struct broker *broker, const struct sighting *seen, struct device *device,
		  bool is_kept, const char *cause)
{
	int r = 0;

	for (size_t i = 0; !r && i < seen->nr_offers; i++) {
		const struct offer *offer = &seen->offers[i];
		/* A pool's device is for nothing else that the function has. */
		bool is_device = device && (device->ops->backend != WIRE_BACKEND_P2PMEM ||
					    offer->identity.backend == WIRE_BACKEND_P2PMEM);

		r = add(broker, seen->function, offer, is_device ? device : NULL, is_kept,
			*cause	  ? cause :
			is_device ? "" :
				    offer->cause);
	}
	return r;
}

void inventory_take_up(struct broker *broker, struct device *device)
{
	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		struct identity *identity = &provider->identity;
		struct pci_provider_name name;

		if (provider->device || identity->is_published ||
		    pci_provider_name_parse(identity->name, &name) || !name.has_generation ||
		    name.generation != device->generation ||
		    pci_address_compare(&name.address, &device->address))
			continue;
		identity->address = name.address;
		identity->bar = name.bar;
		identity->generation = name.generation;
		provider->device = device;
		list_append(&device->providers, &provider->link_of_device);
		broker_provider_ready(broker, provider, true);
	}
}

static bool is_offered(const struct sighting *seen, const struct provider *provider)
{
	for (size_t i = 0; i < seen->nr_offers; i++)
		if (!strcmp(seen->offers[i].identity.name, provider->identity.name))
			return true;
	return false;
}

void inventory_forget(struct broker *broker, const struct pci_address *address,
		      const struct sighting *seen)
{
	list_for_each_entry_safe(provider, &broker->providers, struct provider, link)
		if (is_unavailable(provider) &&
		    !pci_address_compare(&provider->identity.address, address) &&
		    !is_offered(seen, provider))
			broker_provider_remove(broker, provider, WIRE_REASON_GONE);
}

const struct provider *inventory_unavailable_after(const struct broker *broker, uint64_t serial)
{
	list_for_each_entry(provider, &broker->providers, struct provider, link)
		if (provider->serial > serial && is_unavailable(provider))
			return provider;
	return NULL;
}
