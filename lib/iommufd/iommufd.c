// SPDX-License-Identifier: MIT
/*
 * Buffers in I/O address spaces of iommufd, for devices that VFIO holds.
 *
 * iommufd and VFIO know each other: the kernel asks VFIO's DMABUF for its one physical
 * range and puts that in the page tables. No scatterlist is made, so nobody asks
 * PCI P2PDMA whether the two devices reach each other, and whether the DMABUF was
 * opened for writing isn't looked at either. Both are looked at here.
 *
 * A revocation is the kernel's alone: VFIO tells iommufd, which clears the page
 * tables before the revocation returns. The library keeps no list of mappings, only
 * each mapping a reference on its buffer. The caller may close his descriptor, so a
 * duplicate is kept for unmapping. No locks: a mapping belongs to one caller.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/iommufd.h>
#include <p2pdma/path.h>
#include <p2pdma/provider.h>

#include "buffer/buffer.h"
#include "explain/explain.h"
#include "abi.h"
#include "context/options.h"

#define KNOWN_FLAGS  (P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE | P2PDMA_IOMMUFD_FIXED_IOVA)
#define ACCESS_FLAGS (P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE)

struct p2pdma_iommufd_mapping {
	struct p2pdma_buffer *buffer;
	int iommufd;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length_bytes;
};

static int check_access(const struct p2pdma_buffer *buffer, uint32_t flags)
{
	if (flags & ~KNOWN_FLAGS)
		return context_fail(buffer->context, -EINVAL, "unknown flags 0x%" PRIx32,
				    flags & ~KNOWN_FLAGS);
	if (!(flags & ACCESS_FLAGS))
		return context_fail(buffer->context, -EINVAL,
				    "a mapping is for reading, for writing, or both");
	if (flags & P2PDMA_IOMMUFD_WRITE && buffer->flags & P2PDMA_BUFFER_READ_ONLY)
		return context_fail(buffer->context, -EACCES,
				    "%s was exported read-only: devices can't be let write it",
				    buffer->name);
	return 0;
}

static int check_range(const struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr)
{
	struct p2pdma_explanation explanation;
	struct iommufd_rules rules = {
		.flags = attr->flags,
		.offset_bytes = attr->offset_bytes,
		.length_bytes = attr->length_bytes,
		.iova = attr->iova,
		.size_bytes = buffer->size_bytes,
		.page_bytes = buffer->context->page_size_bytes,
		.name = buffer->name,
	};

	if (iommufd_rules_break(&rules, &explanation))
		return context_fail(buffer->context, -EINVAL, "%s", explanation.sentence);
	return 0;
}

static int map_failed(struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr,
		      int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;

	request.operation = P2PDMA_OPERATION_IOMMUFD_MAP;
	request.offset_bytes = attr->offset_bytes;
	request.length_bytes = attr->length_bytes;
	request.iova = attr->iova;
	request.access = attr->flags;
	request.buffer = buffer;
	request.device_fd = attr->iommufd;
	request.object = attr->ioas_id;
	request.importer = attr->importer;
	explain_failure(buffer->context, error, &request,
			"can't map 0x%" PRIx64 " bytes of %s by iommufd", attr->length_bytes,
			buffer->name);
	/* In the library's own words. */
	switch (error) {
	case -ENOTTY:
		return -EOPNOTSUPP;
	case -EEXIST:
		return -EADDRINUSE;
	case -EOVERFLOW:
		return -EINVAL;
	default:
		return error;
	}
}

/* Is it one of those that the kernel takes? */
static int check_kind(struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr)
{
	int fd = p2pdma_buffer_fd(buffer);
	const char *exporter;

	if (fd < 0)
		return fd;
	exporter = p2pdma_buffer_exporter(buffer);
	if ((*exporter && strcmp(exporter, EXPLAIN_VFIO_EXPORTER)) || buffer->nr_ranges > 1)
		return map_failed(buffer, attr, -EOPNOTSUPP);
	return 0;
}

static int check_path(struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr)
{
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	struct p2pdma_provider *provider;
	int r;

	r = p2pdma_provider_find(buffer->context, buffer->name, &provider);
	if (r)
		return r;
	r = p2pdma_path_query(buffer->context, provider, attr->importer, &path);
	p2pdma_provider_unref(provider);
	if (!r && path.map_type == P2PDMA_MAP_NOT_SUPPORTED)
		r = map_failed(buffer, attr, -EOPNOTSUPP);
	return r;
}

static int check(struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr)
{
	int r;

	r = check_access(buffer, attr->flags);
	if (!r)
		r = check_range(buffer, attr);
	if (!r)
		r = buffer_check(buffer);
	if (!r)
		r = check_kind(buffer, attr);
	/* Whose memory an adopted one is nobody knows. */
	if (!r && attr->importer && buffer->device)
		r = check_path(buffer, attr);
	return r;
}

static uint32_t kernel_flags(uint32_t flags)
{
	return (flags & P2PDMA_IOMMUFD_READ ? IOMMUFD_ABI_MAP_READABLE : 0) |
	       (flags & P2PDMA_IOMMUFD_WRITE ? IOMMUFD_ABI_MAP_WRITEABLE : 0) |
	       (flags & P2PDMA_IOMMUFD_FIXED_IOVA ? IOMMUFD_ABI_MAP_FIXED_IOVA : 0);
}

static int map(struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr,
	       struct p2pdma_iommufd_mapping *mapping)
{
	const struct sys_ops *sys = buffer->context->sys;
	struct iommufd_abi_ioas_map_file argument = {
		.size = sizeof(argument),
		.flags = kernel_flags(attr->flags),
		.ioas_id = attr->ioas_id,
		.fd = buffer->fd,
		.start = attr->offset_bytes,
		.length = attr->length_bytes,
		.iova = attr->flags & P2PDMA_IOMMUFD_FIXED_IOVA ? attr->iova : 0,
	};
	int r;

	mapping->iommufd = sys->dup(attr->iommufd);
	if (mapping->iommufd < 0)
		return map_failed(buffer, attr, mapping->iommufd);
	r = sys->ioctl(mapping->iommufd, IOMMUFD_ABI_IOAS_MAP_FILE, &argument);
	if (r) {
		sys->close(mapping->iommufd);
		/* The memory's end explains more. */
		return buffer_check_after(buffer, map_failed(buffer, attr, r));
	}
	mapping->iova = argument.iova;
	return 0;
}

int p2pdma_iommufd_map(struct p2pdma_buffer *buffer, const struct p2pdma_iommufd_attr *attr,
		       struct p2pdma_iommufd_mapping **ret_mapping)
{
	struct p2pdma_iommufd_mapping *mapping;
	struct p2pdma_iommufd_attr known;
	int r;

	if (!buffer)
		return -EINVAL;
	if (!attr || !ret_mapping)
		return context_fail(buffer->context, -EINVAL,
				    "no attributes, or no place for the mapping");
	r = options_load(&known, sizeof(known), sizeof(known), attr);
	if (r)
		return context_fail(buffer->context, r, "the attributes have a wrong size");
	r = check(buffer, &known);
	if (r)
		return r;
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return context_fail(buffer->context, -ENOMEM, "no memory for a mapping");
	mapping->buffer = buffer;
	mapping->ioas_id = known.ioas_id;
	mapping->length_bytes = known.length_bytes;
	r = map(buffer, &known, mapping);
	if (r) {
		free(mapping);
		return r;
	}
	buffer_ref(buffer);
	*ret_mapping = mapping;
	return 0;
}

int p2pdma_iommufd_unmap(struct p2pdma_iommufd_mapping *mapping)
{
	struct iommufd_abi_ioas_unmap argument = {.size = sizeof(argument)};
	struct p2pdma_context *context;
	int r;

	if (!mapping)
		return 0;
	context = mapping->buffer->context;
	argument.ioas_id = mapping->ioas_id;
	argument.iova = mapping->iova;
	argument.length = mapping->length_bytes;
	r = context->sys->ioctl(mapping->iommufd, IOMMUFD_ABI_IOAS_UNMAP, &argument);
	/* -ENOENT: the caller has unmapped it himself, or destroyed the address space. */
	if (r < 0 && r != -ENOENT)
		return context_fail(context, r, "iommufd doesn't unmap 0x%" PRIx64 ": %s",
				    mapping->iova, error_name(r));
	context->sys->close(mapping->iommufd);
	buffer_unref(mapping->buffer);
	free(mapping);
	return 0;
}

uint64_t p2pdma_iommufd_iova(const struct p2pdma_iommufd_mapping *mapping)
{
	return mapping ? mapping->iova : 0;
}
