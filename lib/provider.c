// SPDX-License-Identifier: MIT
/*
 * Providers: memory BARs as a program sees them.
 *
 * A provider is a picture of one BAR taken at one moment: everything sysfs says
 * about it, and each backend's guess whether it could export it, with a
 * sentence. It holds nothing open and never changes, so it needs no lock and
 * may outlive its context, its function and its driver; what became wrong since
 * is found out by generation when a buffer is made.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "context.h"
#include "provider.h"

struct p2pdma_provider_list {
	size_t count;
	size_t room;
	struct p2pdma_provider **providers;
};

static struct p2pdma_provider *provider_new(const struct p2pdma_context *context,
					    const struct pci_function *function, uint32_t bar)
{
	struct pci_provider_name name = {.address = function->address, .bar = bar};
	struct p2pdma_provider *provider = calloc(1, sizeof(*provider));

	if (!provider)
		return NULL;
	provider->refs = 1;
	provider->function = *function;
	provider->bar = bar;
	pci_address_format(&function->address, provider->function_name);
	pci_provider_name_format(&name, provider->name);
	name.has_generation = true;
	name.generation = function->generation;
	pci_provider_name_format(&name, provider->unique_name);
	for (size_t i = 0; i < NR_EXPORTERS; i++)
		provider->exporters[i].can_export =
			backends[i]->can_export(context, function, bar, provider->exporters[i].why,
						sizeof(provider->exporters[i].why));
	return provider;
}

static bool is_provider(const struct pci_function *function, uint32_t bar)
{
	return function->bars[bar].is_memory && function->bars[bar].size_bytes;
}

static int list_append_provider(struct p2pdma_provider_list *list, struct p2pdma_provider *provider)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 32;
		struct p2pdma_provider **grown;

		grown = reallocarray(list->providers, room, sizeof(struct p2pdma_provider *));
		if (!grown)
			return -ENOMEM;
		list->providers = grown;
		list->room = room;
	}
	list->providers[list->count++] = provider;
	return 0;
}

static int append_function(const struct p2pdma_context *context, struct p2pdma_provider_list *list,
			   const struct pci_address *address)
{
	struct pci_function function;
	int r;

	r = pci_function_query(context->sysfs_fd, address, &function);
	if (r)
		return r;
	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++) {
		struct p2pdma_provider *provider;

		if (!is_provider(&function, bar))
			continue;
		provider = provider_new(context, &function, bar);
		if (!provider || list_append_provider(list, provider)) {
			p2pdma_provider_unref(provider);
			return -ENOMEM;
		}
	}
	return 0;
}

int p2pdma_provider_list_query(struct p2pdma_context *context,
			       struct p2pdma_provider_list **ret_list)
{
	cleanup_free struct pci_address *addresses = NULL;
	struct p2pdma_provider_list *list;
	size_t count;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_list)
		return context_fail(context, -EINVAL, "no place for the list was given");
	r = pci_list_query(context->sysfs_fd, &addresses, &count);
	if (r)
		return context_fail(context, r, "can't read bus/pci/devices of sysfs: %s",
				    error_name(r));
	list = calloc(1, sizeof(*list));
	if (!list)
		return context_fail(context, -ENOMEM, "no memory for a list of providers");
	for (size_t i = 0; i < count; i++) {
		char name[PCI_ADDRESS_SIZE];

		r = append_function(context, list, &addresses[i]);
		if (!r)
			continue;
		pci_address_format(&addresses[i], name);
		if (r != -ENODEV && r != -EIO) {
			p2pdma_provider_list_free(list);
			return context_fail(context, r, "can't look at %s: %s", name,
					    error_name(r));
		}
		context_log(context, P2PDMA_LOG_INFO, "%s left out: %s", name, error_name(r));
	}
	*ret_list = list;
	return 0;
}

size_t p2pdma_provider_list_count(const struct p2pdma_provider_list *list)
{
	return list ? list->count : 0;
}

struct p2pdma_provider *p2pdma_provider_list_at(const struct p2pdma_provider_list *list,
						size_t index)
{
	return list && index < list->count ? list->providers[index] : NULL;
}

void p2pdma_provider_list_free(struct p2pdma_provider_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		p2pdma_provider_unref(list->providers[i]);
	free(list->providers);
	free(list);
}

int p2pdma_provider_find(struct p2pdma_context *context, const char *name,
			 struct p2pdma_provider **ret_provider)
{
	char function_name[PCI_ADDRESS_SIZE];
	struct pci_provider_name wanted;
	struct p2pdma_provider *provider;
	struct pci_function function;
	int r;

	if (!context)
		return -EINVAL;
	if (!name || !ret_provider)
		return context_fail(context, -EINVAL, "no name, or no place for the provider");
	r = pci_provider_name_parse(name, &wanted);
	if (r)
		return context_fail(context, r,
				    "\"%.80s\" is no provider name: it looks like 0000:41:00.0/2",
				    name);
	pci_address_format(&wanted.address, function_name);
	r = pci_function_query(context->sysfs_fd, &wanted.address, &function);
	if (r == -ENODEV)
		return context_fail(context, r, "there is no PCI function %s", function_name);
	if (r)
		return context_fail(context, r, "can't make sense of %s in sysfs: %s",
				    function_name, error_name(r));
	if (wanted.has_generation && wanted.generation != function.generation)
		return context_fail(context, -ESTALE,
				    "%s is arrival %" PRIu64 ", not %" PRIu64
				    ": the device was exchanged or plugged in again",
				    function_name, function.generation, wanted.generation);
	if (wanted.bar >= PCI_NR_BARS)
		return context_fail(
			context, -EOPNOTSUPP,
			"%.80s is no BAR: its driver divides it up, and who owns a part of it "
			"exports that; see p2pdma_buffer_adopt()",
			name);
	if (!is_provider(&function, wanted.bar))
		return context_fail(context, -ENOENT, "%s has no memory BAR %" PRIu32,
				    function_name, wanted.bar);
	provider = provider_new(context, &function, wanted.bar);
	if (!provider)
		return context_fail(context, -ENOMEM, "no memory for a provider");
	*ret_provider = provider;
	return 0;
}

struct p2pdma_provider *p2pdma_provider_ref(struct p2pdma_provider *provider)
{
	if (provider)
		__atomic_fetch_add(&provider->refs, 1, __ATOMIC_RELAXED);
	return provider;
}

void p2pdma_provider_unref(struct p2pdma_provider *provider)
{
	if (provider && __atomic_fetch_sub(&provider->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(provider);
}
