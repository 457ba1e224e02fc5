// SPDX-License-Identifier: MIT
/*
 * What a provider says about itself. A provider never changes: no locks.
 */
#include <errno.h>

#include "provider.h"

/* Of the first backend that is for such providers; of any where none is. */
static const char *preferred_why(const struct p2pdma_provider *provider)
{
	for (size_t i = 0; i < NR_EXPORTERS; i++) {
		if (backends[i]->kind == backend_kind(provider->bar))
			return provider->exporters[i].why;
	}
	return provider->exporters[0].why;
}

int p2pdma_provider_can_export(const struct p2pdma_provider *provider, enum p2pdma_backend backend,
			       const char **ret_why)
{
	if (!provider)
		return -EINVAL;
	for (size_t i = 0; i < NR_EXPORTERS; i++) {
		/* AUTO: the first that can, else what the preferred one says. */
		bool is_asked = backend == backends[i]->id || (backend == P2PDMA_BACKEND_AUTO &&
							       provider->exporters[i].can_export);

		if (!is_asked)
			continue;
		if (ret_why)
			*ret_why = provider->exporters[i].why;
		return provider->exporters[i].can_export;
	}
	if (backend != P2PDMA_BACKEND_AUTO)
		return -EINVAL;
	if (ret_why)
		*ret_why = preferred_why(provider);
	return 0;
}

enum p2pdma_provider_kind p2pdma_provider_kind(const struct p2pdma_provider *provider)
{
	return backend_kind(provider->bar);
}

const char *p2pdma_provider_name(const struct p2pdma_provider *provider)
{
	return provider->name;
}

const char *p2pdma_provider_unique_name(const struct p2pdma_provider *provider)
{
	return provider->unique_name;
}

const char *p2pdma_provider_function(const struct p2pdma_provider *provider)
{
	return provider->function_name;
}

const char *p2pdma_provider_driver(const struct p2pdma_provider *provider)
{
	return provider->function.driver;
}

uint32_t p2pdma_provider_bar(const struct p2pdma_provider *provider)
{
	return provider->bar < PCI_NR_BARS ? provider->bar : P2PDMA_PROVIDER_NO_BAR;
}

uint64_t p2pdma_provider_size_bytes(const struct p2pdma_provider *provider)
{
	return provider->size_bytes;
}

uint64_t p2pdma_provider_generation(const struct p2pdma_provider *provider)
{
	return provider->function.generation;
}

int32_t p2pdma_provider_numa_node(const struct p2pdma_provider *provider)
{
	return provider->function.numa_node;
}

uint32_t p2pdma_provider_vendor_id(const struct p2pdma_provider *provider)
{
	return provider->function.vendor_id;
}

uint32_t p2pdma_provider_device_id(const struct p2pdma_provider *provider)
{
	return provider->function.device_id;
}

int p2pdma_provider_is_64bit(const struct p2pdma_provider *provider)
{
	return provider->bar < PCI_NR_BARS && provider->function.bars[provider->bar].is_64bit;
}

int p2pdma_provider_is_prefetchable(const struct p2pdma_provider *provider)
{
	return provider->bar < PCI_NR_BARS &&
	       provider->function.bars[provider->bar].is_prefetchable;
}
