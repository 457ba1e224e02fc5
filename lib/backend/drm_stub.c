// SPDX-License-Identifier: MIT
/*
 * The drm backend in a library that was built without libdrm's headers: it can do nothing, and
 * says so. No state.
 */
#include <errno.h>
#include <stdio.h>

#include <p2pdma/drm.h>

#include "buffer/buffer.h"
#include "drm/facts.h"

static const char why[] = "this library was built without libdrm";

static int check_export(const struct p2pdma_context *context, const struct pci_function *function,
			uint32_t bar, char *ret_why, size_t size)
{
	(void)context;
	(void)function;
	(void)bar;
	snprintf(ret_why, size, "drm: %s", why);
	return -EOPNOTSUPP;
}

static int open_device(struct p2pdma_context *context, const struct pci_function *function,
		       struct device **ret_device)
{
	(void)function;
	(void)ret_device;
	return context_fail(context, -EOPNOTSUPP, "%s", why);
}

int drm_memory_query(struct p2pdma_context *context, const struct pci_function *function,
		     uint64_t *ret_size_bytes)
{
	(void)function;
	(void)ret_size_bytes;
	return context_fail(context, -EOPNOTSUPP, "%s", why);
}

const char *drm_why_unreachable(const struct pci_function *function, bool *ret_is_system)
{
	(void)function;
	*ret_is_system = false;
	return NULL;
}

const struct backend backend_drm = {
	.name = "drm",
	.id = P2PDMA_BACKEND_DRM,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC,
	.kind = P2PDMA_PROVIDER_KIND_VRAM,
	.check_export = check_export,
	.open = open_device,
};

void drm_facts_query(struct p2pdma_context *context, int fd, struct drm_facts *ret_facts)
{
	(void)context;
	(void)fd;
	(void)ret_facts;
}

static int fail(const struct p2pdma_context *context)
{
	return context ? context_fail(context, -EOPNOTSUPP, "%s", why) : -EINVAL;
}

int p2pdma_buffer_new_drm(struct p2pdma_context *context, int drm_fd, uint64_t length_bytes,
			  const struct p2pdma_buffer_options *options,
			  struct p2pdma_buffer **ret_buffer)
{
	(void)drm_fd;
	(void)length_bytes;
	(void)options;
	(void)ret_buffer;
	return fail(context);
}

int p2pdma_buffer_new_gem(struct p2pdma_context *context, int drm_fd, uint32_t handle,
			  const struct p2pdma_buffer_options *options,
			  struct p2pdma_buffer **ret_buffer)
{
	(void)drm_fd;
	(void)handle;
	(void)options;
	(void)ret_buffer;
	return fail(context);
}

int p2pdma_gem_import(struct p2pdma_buffer *buffer, int drm_fd, uint32_t *ret_handle)
{
	(void)drm_fd;
	(void)ret_handle;
	return fail(buffer ? buffer->context : NULL);
}

int p2pdma_gem_close(struct p2pdma_context *context, int drm_fd, uint32_t handle)
{
	(void)drm_fd;
	(void)handle;
	return fail(context);
}
