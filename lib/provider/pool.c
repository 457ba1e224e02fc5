// SPDX-License-Identifier: MIT
/*
 * How full a pool of p2pmem is: what sysfs says at this moment. No state, no locks.
 */
#include <errno.h>
#include <inttypes.h>

#include <p2pdma/pool.h>

#include "common/cleanup.h"
#include "common/pci_memory.h"
#include "context/context.h"
#include "context/options.h"
#include "provider.h"

static int query(const struct p2pdma_context *context, const struct p2pdma_provider *provider,
		 struct pci_p2pmem *pool)
{
	cleanup_fd int fd = -1;
	uint64_t generation;
	int r;

	r = pci_generation_query(context->sysfs_fd, &provider->function.address, &generation);
	if (!r && generation != provider->function.generation)
		return context_fail(context, -ESTALE,
				    "%s is another arrival of a function than %s: look it up again",
				    provider->function_name, provider->unique_name);
	if (!r)
		r = pci_function_open(context->sysfs_fd, &provider->function.address, &fd);
	if (!r)
		r = pci_p2pmem_query(fd, pool);
	if (r == -ENODEV)
		return context_fail(context, r, "%s has gone", provider->name);
	if (r)
		return context_fail(context, r, "can't make sense of %s in sysfs: %s",
				    provider->name, error_name(r));
	return 0;
}

int p2pdma_pool_query(struct p2pdma_context *context, const struct p2pdma_provider *provider,
		      struct p2pdma_pool_status *ret_status)
{
	struct p2pdma_pool_status status = P2PDMA_POOL_STATUS_INIT;
	struct pci_p2pmem pool;
	int r;

	if (!context)
		return -EINVAL;
	if (!provider || options_check_output(ret_status, sizeof(*ret_status)))
		return context_fail(context, -EINVAL,
				    "no provider, or the status to fill is NULL or has a wrong "
				    "size");
	if (p2pdma_provider_kind(provider) != P2PDMA_PROVIDER_KIND_P2PMEM)
		return context_fail(context, -EOPNOTSUPP, "%s is no pool of p2pmem",
				    provider->name);
	r = query(context, provider, &pool);
	if (r)
		return r;
	status.flags = pool.is_published ? P2PDMA_POOL_PUBLISHED : 0;
	status.total_bytes = pool.size_bytes;
	status.available_bytes = pool.available_bytes;
	options_store(ret_status, &status, sizeof(status));
	return 0;
}
