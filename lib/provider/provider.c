// SPDX-License-Identifier: MIT
/*
 * Providers: peer memory as a program sees it.
 *
 * A provider is a picture of one BAR, or of the memory that a driver divides up, taken at one
 * moment: everything sysfs says about it, and each backend's guess whether it could export it,
 * with a sentence. It holds nothing open and never changes, so it needs no lock and
 * may outlive its context, its function and its driver; what became wrong since
 * is found out by generation when a buffer is made.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/pci_memory.h"
#include "context/context.h"
#include "provider.h"

struct p2pdma_provider_list {
	size_t count;
	size_t room;
	struct p2pdma_provider **providers;
};

static struct p2pdma_provider *provider_new(const struct p2pdma_context *context,
					    const struct pci_function *function, uint32_t bar,
					    uint64_t size_bytes)
{
	struct pci_provider_name name = {.address = function->address, .bar = bar};
	struct p2pdma_provider *provider = calloc(1, sizeof(*provider));

	if (!provider)
		return NULL;
	provider->refs = 1;
	provider->function = *function;
	provider->bar = bar;
	provider->size_bytes = size_bytes;
	pci_address_format(&function->address, provider->function_name);
	pci_provider_name_format(&name, provider->name);
	name.has_generation = true;
	name.generation = function->generation;
	pci_provider_name_format(&name, provider->unique_name);
	for (size_t i = 0; i < NR_EXPORTERS; i++)
		provider->exporters[i].can_export = !backend_check_export(
			backends[i], context, function, bar, provider->exporters[i].why);
	return provider;
}

/* -ENODEV: the function has no such memory, or has gone. */
static int memory_query(const struct p2pdma_context *context, const struct pci_function *function,
			uint32_t bar, uint64_t *ret_size_bytes)
{
	struct pci_memory memory;
	cleanup_fd int fd = -1;
	int r;

	if (bar < PCI_NR_BARS) {
		*ret_size_bytes = function->bars[bar].size_bytes;
		return function->bars[bar].is_memory && *ret_size_bytes ? 0 : -ENODEV;
	}
	r = pci_function_open(context->sysfs_fd, &function->address, &fd);
	if (!r)
		r = pci_memory_query(fd, bar, &memory);
	if (!r)
		*ret_size_bytes = memory.size_bytes;
	return r;
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
	static const uint32_t memories[] = {0, 1, 2, 3, 4, 5, PCI_MEMORY_VRAM, PCI_MEMORY_P2PMEM};
	struct pci_function function;
	int r;

	r = pci_function_query(context->sysfs_fd, address, &function);
	if (r)
		return r;
	for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		struct p2pdma_provider *provider;
		uint64_t size_bytes;

		r = memory_query(context, &function, memories[i], &size_bytes);
		if (r == -ENODEV)
			continue;
		if (r)
			return r;
		provider = provider_new(context, &function, memories[i], size_bytes);
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

/* Ends before the name of the driver. */
static const char *missing_memory(uint32_t bar)
{
	return bar == PCI_MEMORY_VRAM ? "no DRM render node; its driver is " :
					"nobody published memory of it; its driver is ";
}

int p2pdma_provider_find(struct p2pdma_context *context, const char *name,
			 struct p2pdma_provider **ret_provider)
{
	char function_name[PCI_ADDRESS_SIZE];
	struct pci_provider_name wanted;
	struct p2pdma_provider *provider;
	struct pci_function function;
	uint64_t size_bytes;
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
	r = memory_query(context, &function, wanted.bar, &size_bytes);
	if (r == -ENODEV && wanted.bar < PCI_NR_BARS)
		return context_fail(context, -ENOENT, "%s has no memory BAR %" PRIu32,
				    function_name, wanted.bar);
	if (r == -ENODEV)
		return context_fail(context, -ENOENT, "%s has no %s: %s%s", function_name,
				    strchr(name, '/') + 1, missing_memory(wanted.bar),
				    function.driver);
	if (r)
		return context_fail(context, r, "can't make sense of %s in sysfs: %s", name,
				    error_name(r));
	/* Only of one that is asked for by name: its GPU may be asleep. */
	if (wanted.bar == PCI_MEMORY_VRAM && !size_bytes)
		drm_memory_query(context, &function, &size_bytes);
	provider = provider_new(context, &function, wanted.bar, size_bytes);
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
