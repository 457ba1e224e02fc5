// SPDX-License-Identifier: MIT
/*
 * Leases of p2pmem. What comes with the answer isn't a DMABUF but the file that all of the pool is
 * allocated through. It is used once, for what was asked for, and closed: what this process has is
 * a mapping, which ends with the lease.
 */
#include <errno.h>

#include "backend/p2pmem.h"
#include "broker.h"
#include "buffer/buffer.h"

int broker_pool_check(struct broker *broker, int fd)
{
	uint64_t type;

	if (broker->context->sys->fs_type(fd, &type) || type != SYSFS_MAGIC)
		return broker_lied(broker, "the descriptor is no file of sysfs");
	return 0;
}

uint64_t broker_pool_wanted(const struct wire_acquire *wanted)
{
	const struct wire_range *ranges = (const struct wire_range *)(const void *)(wanted + 1);

	return wanted->nr_ranges ? ranges[0].length_bytes : wanted->length_bytes;
}

int broker_pool_allocate(struct p2pdma_buffer *buffer, int fd)
{
	struct p2pdma_context *context = buffer->context;
	bool is_active;
	void *memory;
	int r;

	r = p2pmem_allocate(buffer->device, fd, buffer->size_bytes, false, &memory);
	if (r)
		return r;
	pthread_mutex_lock(&context->lock);
	is_active = buffer->state == P2PDMA_BUFFER_ACTIVE;
	if (is_active)
		buffer->memory = memory;
	pthread_mutex_unlock(&context->lock);
	if (is_active)
		return 0;
	context->sys->unmap(memory, (size_t)buffer->size_bytes);
	return buffer_check(buffer);
}
