// SPDX-License-Identifier: MIT
/*
 * The identity of DMABUFs, for caches.
 *
 * A DMABUF is known by its inode number. Several buffers may stand for one:
 * adopted from descriptors that are duplicates of each other, or our own export
 * adopted again. They share an identity, from the first use of a cache until the
 * last of these buffers is gone. Buffers hold the DMABUF open and registrations
 * hold their buffer, so a number can't come back for another DMABUF while
 * anything is registered under it.
 *
 * An identity has a generation, which is a part of what registrations are found by. It goes
 * up when the memory is taken (a revocation of any of its buffers, the loss of
 * the device), and when the last buffer is freed or the one that owns the
 * memory is. From that moment on no cache finds what was registered before, even
 * before it has been taken out of its index; a registration that had begun before
 * is noticed when it is complete.
 *
 * Everything runs under context->lock, only the generation is also read without.
 */
#include <errno.h>
#include <stdlib.h>

#include "buffer/buffer.h"
#include "mr/guard.h"
#include "mr/mr.h"
#include "mr_cache.h"

#define NR_BUCKETS 256

static struct list *bucket_of(const struct p2pdma_context *context, uint64_t inode)
{
	return &context->identities[inode % NR_BUCKETS];
}

static struct mr_identity *find(const struct p2pdma_context *context, uint64_t inode)
{
	list_for_each_entry(identity, bucket_of(context, inode), struct mr_identity, link) {
		if (identity->inode == inode)
			return identity;
	}
	return NULL;
}

static struct mr_identity *find_or_add(struct p2pdma_context *context, uint64_t inode)
{
	struct mr_identity *identity;

	if (!context->identities) {
		context->identities = calloc(NR_BUCKETS, sizeof(*context->identities));
		if (!context->identities)
			return NULL;
		for (size_t i = 0; i < NR_BUCKETS; i++)
			list_init(&context->identities[i]);
	}
	identity = find(context, inode);
	if (identity)
		return identity;
	identity = calloc(1, sizeof(*identity));
	if (!identity)
		return NULL;
	identity->inode = inode;
	list_init(&identity->buffers);
	list_append(bucket_of(context, inode), &identity->link);
	return identity;
}

int mr_identity_attach(struct p2pdma_buffer *buffer)
{
	struct p2pdma_context *context = buffer->context;
	struct mr_identity *identity;

	pthread_mutex_lock(&context->lock);
	identity = buffer->identity;
	if (!identity) {
		identity = find_or_add(context, buffer->inode);
		if (identity) {
			list_append(&identity->buffers, &buffer->identity_link);
			if (buffer->state == P2PDMA_BUFFER_ACTIVE) {
				identity->nr_open++;
				__atomic_store_n(&buffer->is_open, true, __ATOMIC_RELEASE);
			}
			__atomic_store_n(&buffer->identity, identity, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&context->lock);
	return identity ? 0 : context_fail(context, -ENOMEM, "no memory to know a DMABUF by");
}

static void end_entry(struct mr_entry *entry, struct list *ended)
{
	struct p2pdma_mr_cache *cache = entry->cache;

	pthread_mutex_lock(&cache->lock);
	if (entry->state == MR_ENTRY_LIVE) {
		mr_index_stop_sharing(&cache->index, entry);
		mr_entry_end(entry, ended);
		cache->status.nr_invalidated++;
	}
	pthread_mutex_unlock(&cache->lock);
}

static void close_once(struct p2pdma_buffer *buffer)
{
	buffer->identity->nr_open -= buffer->is_open;
	__atomic_store_n(&buffer->is_open, false, __ATOMIC_RELEASE);
}

static void end(struct mr_identity *identity, struct p2pdma_context *context, uint32_t shut)
{
	if (shut)
		identity->shut = shut;
	__atomic_fetch_add(&identity->generation, 1, __ATOMIC_ACQ_REL);
	list_for_each_entry(other, &identity->buffers, struct p2pdma_buffer, identity_link) {
		list_for_each_entry(mr, &other->mrs, struct p2pdma_mr, link) {
			if (!mr->entry)
				continue;
			if (shut)
				guard_shut(&mr->guard, shut);
			end_entry(mr->entry, &context->ended);
		}
	}
}

void mr_identity_revoke(struct p2pdma_buffer *buffer, uint32_t shut)
{
	if (!buffer->identity)
		return;
	close_once(buffer);
	end(buffer->identity, buffer->context, shut);
}

void mr_identity_close(struct p2pdma_buffer *buffer)
{
	if (!buffer->identity)
		return;
	close_once(buffer);
	/*
	 * An adopted buffer is one user of the DMABUF among others, and so is one that can't take it
	 * from them. One with a device owns it.
	 */
	if ((buffer->device && !buffer->backend->is_cooperative) || !buffer->identity->nr_open)
		end(buffer->identity, buffer->context, 0);
}

void mr_identity_detach(struct p2pdma_buffer *buffer)
{
	struct mr_identity *identity = buffer->identity;

	if (!identity)
		return;
	buffer->identity = NULL;
	list_remove(&buffer->identity_link);
	if (!list_is_empty(&identity->buffers))
		return;
	list_remove(&identity->link);
	free(identity);
}

void mr_identities_free(struct p2pdma_context *context)
{
	/* Each belonged to a buffer, and each buffer held the context. */
	free(context->identities);
}
