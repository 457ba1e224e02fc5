// SPDX-License-Identifier: MIT
/*
 * CPU mappings of buffers.
 *
 * The library remembers each, so that they can end with the buffer and, where
 * the backend needs it, with a revocation: a VFIO device stays open as long as
 * somebody maps its BAR, so before it is closed for good its mappings are
 * covered by pages of an empty file. Such a page raises SIGBUS when it is
 * touched, just as the kernel's own revoked mappings do, and the address range
 * stays the caller's until it unmaps. Mappings are not inherited by fork().
 *
 * A buffer without a DMABUF is memory of this process (p2pmem), mapped once, when
 * it was made: a mapping of it is a view, an address in there.
 *
 * The list is under context->lock. A mapping made while the buffer is being
 * revoked is undone before the caller sees it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffer.h"
#include "explain/explain.h"

static int check(const struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		 uint32_t flags)
{
	const struct p2pdma_context *context = buffer->context;

	if (!flags || flags & ~(P2PDMA_MAP_READ | P2PDMA_MAP_WRITE))
		return context_fail(context, -EINVAL,
				    "map flags 0x%" PRIx32 ": READ, WRITE or both", flags);
	if (offset_bytes % context->page_size_bytes)
		return context_fail(context, -EINVAL,
				    "map offset 0x%" PRIx64 " isn't a multiple of the page size",
				    offset_bytes);
	if (!length_bytes || offset_bytes > buffer->size_bytes ||
	    length_bytes > buffer->size_bytes - offset_bytes)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes at 0x%" PRIx64
				    " pass the end of the buffer, which has 0x%" PRIx64,
				    length_bytes, offset_bytes, buffer->size_bytes);
	if (flags & P2PDMA_MAP_WRITE && buffer->flags & P2PDMA_BUFFER_READ_ONLY)
		return context_fail(context, -EACCES, "%s is read-only", buffer->name);
	return 0;
}

static void unmap(const struct p2pdma_buffer *buffer, const struct mapping *mapping)
{
	if (!mapping->is_view)
		buffer->context->sys->unmap(mapping->address, mapping->length_bytes);
}

/* Links the mapping unless the buffer has been revoked meanwhile. */
static int publish(struct p2pdma_buffer *buffer, struct mapping *mapping)
{
	bool is_active;

	/* A child would keep the device's memory reachable behind our back. */
	if (!mapping->is_view)
		madvise(mapping->address, mapping->length_bytes, MADV_DONTFORK);
	pthread_mutex_lock(&buffer->context->lock);
	is_active = buffer->state == P2PDMA_BUFFER_ACTIVE;
	if (is_active)
		list_append(&buffer->mappings, &mapping->link);
	pthread_mutex_unlock(&buffer->context->lock);
	if (is_active)
		return 0;
	unmap(buffer, mapping);
	return buffer_check(buffer);
}

int p2pdma_buffer_map(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		      uint32_t flags, void **ret_address)
{
	int protection = (flags & P2PDMA_MAP_READ ? PROT_READ : 0) |
			 (flags & P2PDMA_MAP_WRITE ? PROT_WRITE : 0);
	struct p2pdma_context *context;
	struct mapping *mapping;
	uint64_t page;
	int r;

	if (!buffer)
		return -EINVAL;
	context = buffer->context;
	page = context->page_size_bytes;
	if (!ret_address)
		return context_fail(context, -EINVAL, "no place for the address was given");
	r = check(buffer, offset_bytes, length_bytes, flags);
	if (r)
		return r;
	r = buffer_check(buffer);
	if (r)
		return r;
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return context_fail(context, -ENOMEM, "no memory for a mapping");
	mapping->length_bytes = (size_t)((length_bytes + page - 1) / page * page);
	mapping->is_view = buffer->memory;
	if (buffer->memory) {
		mapping->address = (char *)buffer->memory + offset_bytes;
		r = 0;
	} else {
		r = buffer->backend->map(buffer, offset_bytes, mapping->length_bytes, protection,
					 &mapping->address);
	}
	r = r ? buffer_check_after(buffer, r) : publish(buffer, mapping);
	if (r) {
		free(mapping);
		return r;
	}
	*ret_address = mapping->address;
	return 0;
}

int buffer_map_failed(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		      int protection, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;

	request.operation = P2PDMA_OPERATION_MAP;
	request.offset_bytes = offset_bytes;
	request.length_bytes = length_bytes;
	request.access = P2PDMA_MAP_READ | (protection & PROT_WRITE ? P2PDMA_MAP_WRITE : 0);
	request.buffer = buffer;
	return explain_failure(buffer->context, error, &request, "can't map %s", buffer->name);
}

int buffer_map_dmabuf(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		      int protection, void **ret_address)
{
	struct p2pdma_context *context = buffer->context;
	int r;

	r = context->sys->map(NULL, (size_t)length_bytes, protection, MAP_SHARED, buffer->fd,
			      offset_bytes, ret_address);
	if (!r)
		return 0;
	buffer_map_failed(buffer, offset_bytes, length_bytes, protection, r);
	/* The range is inside the buffer, so this can only be the exporter without mmap. */
	return r == -EINVAL ? -EOPNOTSUPP : r;
}

int p2pdma_buffer_unmap(struct p2pdma_buffer *buffer, void *address)
{
	struct mapping *found = NULL;

	if (!buffer)
		return -EINVAL;
	pthread_mutex_lock(&buffer->context->lock);
	list_for_each_entry(mapping, &buffer->mappings, struct mapping, link) {
		if (mapping->address == address)
			found = mapping;
	}
	if (found)
		list_remove(&found->link);
	pthread_mutex_unlock(&buffer->context->lock);
	if (!found)
		return context_fail(buffer->context, -EINVAL, "%s isn't mapped at %p", buffer->name,
				    address);
	unmap(buffer, found);
	free(found);
	return 0;
}

static void cover(void *address, size_t length_bytes)
{
	int fd = memfd_create("p2pdma-revoked", MFD_CLOEXEC);
	void *covered = MAP_FAILED;

	if (fd >= 0) {
		covered = mmap(address, length_bytes, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, fd, 0);
		close(fd);
	}
	/* Without an empty file, pages that nobody may touch: SIGSEGV, but gone all the same. */
	if (covered == MAP_FAILED)
		mmap(address, length_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
}

void mappings_end(struct p2pdma_buffer *buffer, bool is_cover)
{
	list_for_each_entry_safe(mapping, &buffer->mappings, struct mapping, link) {
		if (is_cover) {
			if (!mapping->is_view)
				cover(mapping->address, mapping->length_bytes);
			continue;
		}
		unmap(buffer, mapping);
		list_remove(&mapping->link);
		free(mapping);
	}
	if (buffer->memory && is_cover)
		cover(buffer->memory, (size_t)buffer->size_bytes);
	else if (buffer->memory)
		buffer->context->sys->unmap(buffer->memory, (size_t)buffer->size_bytes);
}

void mappings_cover(struct p2pdma_buffer *buffer)
{
	pthread_mutex_lock(&buffer->context->lock);
	mappings_end(buffer, true);
	pthread_mutex_unlock(&buffer->context->lock);
}
