// SPDX-License-Identifier: MIT
/*
 * The cache of memory regions.
 *
 * A cache belongs to one protection domain and has one lock, which no other cache shares: a
 * hit takes it once to find the entry and count the reference, a release once to
 * count it back. An entry is
 *
 *     PENDING -> LIVE -> ENDED
 *
 * pending while the thread that missed registers it (others that want the same
 * wait), live while it can be found, and ended when it can't any more: evicted, dropped,
 * revoked, closed. It is registered until its last reference after that.
 * Ends are in entry.c, finding in index.c.
 *
 * That nothing revoked is handed out doesn't hang on the end of entries, which takes
 * its time: what is found must have the generation that its DMABUF has now
 * (identity.c), and revoking changes that before it returns.
 *
 * Locks: context->lock, then cache->lock; both only where a registration becomes
 * an entry and where a revocation ends it. Registering and deregistering happen
 * under neither. Two caches' locks are never held together.
 */
#include <errno.h>
#include <stdlib.h>

#include <infiniband/verbs.h>

#include "buffer/buffer.h"
#include "mr/guard.h"
#include "mr/mr.h"
#include "mr_cache.h"
#include "context/options.h"

#define REMOTE_ACCESS                                                                              \
	((uint32_t)(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC))

static int load_options(const struct p2pdma_context *context,
			const struct p2pdma_mr_cache_options *options,
			struct p2pdma_mr_cache_options *ret_known)
{
	struct p2pdma_mr_cache_options known = P2PDMA_MR_CACHE_OPTIONS_INIT;
	int r;

	if (options) {
		r = options_load(&known, sizeof(known), sizeof(known), options);
		if (r)
			return context_fail(context, r, "the cache options have a wrong size");
	}
	if (known.flags & ~P2PDMA_MR_CACHE_SHARE_REMOTE || known.reserved)
		return context_fail(context, -EINVAL, "unknown cache flags 0x%x", known.flags);
	if (known.max_entries > P2PDMA_MR_CACHE_MAX_ENTRIES)
		return context_fail(context, -EINVAL, "%u entries: a cache has at most %u",
				    known.max_entries, P2PDMA_MR_CACHE_MAX_ENTRIES);
	if (!known.max_entries)
		known.max_entries = P2PDMA_MR_CACHE_ENTRIES;
	if (!known.max_bytes)
		known.max_bytes = UINT64_MAX;
	*ret_known = known;
	return 0;
}

static void init_locks(struct p2pdma_mr_cache *cache)
{
	pthread_mutexattr_t attr;

	/* What it covers takes less than going to sleep: try again a while before. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&cache->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&cache->changed, NULL);
}

int p2pdma_mr_cache_new(struct p2pdma_context *context, struct ibv_pd *pd,
			const struct p2pdma_mr_cache_options *options,
			struct p2pdma_mr_cache **ret_cache)
{
	struct p2pdma_mr_cache_options known;
	struct p2pdma_mr_cache *cache;
	int r;

	if (!context)
		return -EINVAL;
	if (!pd || !ret_cache)
		return context_fail(context, -EINVAL,
				    "no protection domain, or no place for the cache");
	r = load_options(context, options, &known);
	if (r)
		return r;
	cache = calloc(1, sizeof(*cache));
	r = cache ? mr_cache_watch_forks(&cache->forks) : -ENOMEM;
	if (!r)
		r = mr_index_init(&cache->index, known.max_entries);
	if (r) {
		free(cache);
		return context_fail(context, r, "no memory for a cache");
	}
	init_locks(cache);
	list_init(&cache->unused);
	list_init(&cache->stuck);
	cache->refs = 1;
	cache->context = context;
	cache->pd = pd;
	cache->flags = known.flags;
	cache->max_entries = known.max_entries;
	cache->max_bytes = known.max_bytes;
	context_ref(context);
	*ret_cache = cache;
	return 0;
}

/* False: something about it is wrong, or no cache knows the buffer yet; the slow way finds out. */
static bool make_key(struct p2pdma_buffer *buffer, const struct p2pdma_mr_attr *attr,
		     struct mr_key *ret_key)
{
	*ret_key = (struct mr_key){
		.identity = __atomic_load_n(&buffer->identity, __ATOMIC_ACQUIRE),
		.offset_bytes = attr->offset_bytes,
		.length_bytes = attr->length_bytes,
		.base_iova = attr->iova - attr->offset_bytes,
	};
	return ret_key->identity && __atomic_load_n(&buffer->is_open, __ATOMIC_ACQUIRE) &&
	       mr_check_quickly(buffer, attr, &ret_key->access);
}

static bool is_shareable(const struct p2pdma_mr_cache *cache, uint32_t access)
{
	return !(access & REMOTE_ACCESS) || cache->flags & P2PDMA_MR_CACHE_SHARE_REMOTE;
}

/* Under cache->lock: what serves the key, with a reference. NULL: nothing does yet. */
static struct mr_entry *take(struct p2pdma_mr_cache *cache, const struct mr_key *key)
{
	struct mr_entry *entry = mr_index_find(&cache->index, key);

	if (entry && entry->state == MR_ENTRY_PENDING)
		return NULL;
	if (entry) {
		cache->status.nr_hits++;
	} else {
		if (is_shareable(cache, key->access))
			entry = mr_index_find_around(&cache->index, key);
		if (!entry)
			return NULL;
		cache->status.nr_hits_inside++;
	}
	if (!entry->refs++) {
		list_remove(&entry->link);
		cache->status.nr_used++;
	}
	return entry;
}

/* Takes what is there, or else makes @fresh a pending entry, or one that is never found. */
static struct mr_entry *take_or_add(struct p2pdma_mr_cache *cache, struct mr_entry *fresh)
{
	struct mr_entry *entry;
	struct list ended;

	list_init(&ended);
	pthread_mutex_lock(&cache->lock);
	while (!(entry = take(cache, &fresh->key)) && mr_index_find(&cache->index, &fresh->key))
		pthread_cond_wait(&cache->changed, &cache->lock);
	if (!entry) {
		fresh->generation =
			__atomic_load_n(&fresh->key.identity->generation, __ATOMIC_ACQUIRE);
		cache->status.nr_misses++;
		if (fresh->key.length_bytes > cache->max_bytes) {
			fresh->state = MR_ENTRY_ENDED;
			cache->status.nr_ended++;
		} else {
			mr_index_add(&cache->index, fresh);
			cache->status.nr_entries++;
			cache->status.nr_used++;
			cache->status.bytes += fresh->key.length_bytes;
			mr_cache_evict(cache, &ended);
		}
	}
	pthread_mutex_unlock(&cache->lock);
	mr_entries_deregister(&ended);
	return entry;
}

/* A pending entry becomes live, or ends where its DMABUF did meanwhile. @mr: NULL, it failed. */
static void settle(struct mr_entry *entry, struct p2pdma_mr *mr)
{
	const struct mr_identity *identity = entry->key.identity;
	struct p2pdma_mr_cache *cache = entry->cache;
	bool is_current;

	pthread_mutex_lock(&cache->context->lock);
	pthread_mutex_lock(&cache->lock);
	is_current = entry->generation == identity->generation;
	entry->mr = mr;
	if (mr) {
		mr->entry = entry;
		if (!is_current && identity->shut)
			guard_shut(&mr->guard, identity->shut);
	}
	if (entry->state == MR_ENTRY_PENDING) {
		if (!mr || !is_current) {
			mr_entry_end(entry, NULL);
		} else {
			entry->state = MR_ENTRY_LIVE;
			if (is_shareable(cache, entry->key.access))
				mr_index_share(&cache->index, entry);
		}
		pthread_cond_broadcast(&cache->changed);
	}
	if (!mr)
		cache->status.nr_ended--;
	pthread_mutex_unlock(&cache->lock);
	pthread_mutex_unlock(&cache->context->lock);
}

static int gone_meanwhile(struct p2pdma_buffer *buffer, uint32_t word)
{
	int r = buffer_check(buffer);

	if (r)
		return r;
	return context_fail(buffer->context, word & P2PDMA_MR_GUARD_GONE ? -ENODEV : -ESTALE,
			    "the DMABUF of %s was revoked meanwhile", buffer->name);
}

/* @entry is pending, or never found, and has one reference. */
static int fill(struct mr_entry *entry, struct p2pdma_buffer *buffer,
		const struct p2pdma_mr_attr *attr, struct p2pdma_mr **ret_mr)
{
	struct p2pdma_mr_cache *cache = entry->cache;
	struct p2pdma_mr *mr = NULL;
	uint32_t word;
	int r;

	r = mr_create(cache->pd, buffer, attr, (int)entry->key.access, &mr);
	while (r == -ENOMEM && mr_cache_make_room(cache))
		r = mr_create(cache->pd, buffer, attr, (int)entry->key.access, &mr);
	settle(entry, mr);
	if (r) {
		free(entry);
		mr_cache_unref(cache);
		return r;
	}
	word = __atomic_load_n(&mr->guard.word, __ATOMIC_ACQUIRE);
	if (word & P2PDMA_MR_GUARD_SHUT) {
		p2pdma_mr_cache_release(mr);
		return gone_meanwhile(buffer, word);
	}
	*ret_mr = mr;
	return 0;
}

static int acquire_slowly(struct p2pdma_mr_cache *cache, struct p2pdma_buffer *buffer,
			  const struct p2pdma_mr_attr *attr, struct p2pdma_mr **ret_mr)
{
	struct mr_entry *fresh, *entry;
	struct mr_key key;
	int access, r;

	r = buffer_check(buffer);
	if (!r)
		r = mr_check(cache->context, buffer, attr, &access);
	if (!r)
		r = mr_identity_attach(buffer);
	if (r)
		return r;
	/* All is well with it, unless it has been revoked since. */
	if (!make_key(buffer, attr, &key))
		return gone_meanwhile(buffer, P2PDMA_MR_GUARD_STALE);
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return context_fail(cache->context, -ENOMEM, "no memory for an entry of a cache");
	fresh->key = key;
	fresh->cache = cache;
	fresh->refs = 1;
	list_init(&fresh->link);
	entry = take_or_add(cache, fresh);
	if (entry) {
		free(fresh);
		*ret_mr = entry->mr;
		return 0;
	}
	__atomic_fetch_add(&cache->refs, 1, __ATOMIC_RELAXED);
	return fill(fresh, buffer, attr, ret_mr);
}

static int check_arguments(struct p2pdma_mr_cache *cache, const struct p2pdma_buffer *buffer,
			   const struct p2pdma_mr_attr *attr)
{
	struct p2pdma_mr_attr known;
	int r = 0;

	if (attr->size_bytes != sizeof(known))
		r = options_load(&known, sizeof(known), sizeof(known), attr);
	if (r)
		return context_fail(cache->context, r, "the MR attributes have a wrong size");
	if (attr->dmah)
		return context_fail(cache->context, -EINVAL,
				    "a memory region with a DMA handle isn't cached: "
				    "p2pdma_mr_register_attr() makes one");
	if (buffer->context != cache->context)
		return context_fail(cache->context, -EINVAL, "%s is of another context",
				    buffer->name);
	if (mr_cache_is_forked(cache))
		return context_fail(cache->context, -EOPNOTSUPP,
				    "the cache is the parent's: a forked child can't use its "
				    "RDMA objects");
	return 0;
}

int p2pdma_mr_cache_acquire(struct p2pdma_mr_cache *cache, struct p2pdma_buffer *buffer,
			    const struct p2pdma_mr_attr *attr, struct p2pdma_mr **ret_mr)
{
	struct mr_entry *entry = NULL;
	struct mr_key key;
	int r;

	if (!cache)
		return -EINVAL;
	if (!buffer || !attr || !ret_mr)
		return context_fail(cache->context, -EINVAL,
				    "no buffer, no attributes, or no place for the MR");
	r = check_arguments(cache, buffer, attr);
	if (r)
		return r;
	if (make_key(buffer, attr, &key)) {
		pthread_mutex_lock(&cache->lock);
		entry = take(cache, &key);
		pthread_mutex_unlock(&cache->lock);
	}
	if (entry) {
		*ret_mr = entry->mr;
		return 0;
	}
	r = acquire_slowly(cache, buffer, attr, ret_mr);
	if (r)
		mr_cache_reap(cache->context);
	return r;
}

int p2pdma_mr_cache_release(struct p2pdma_mr *mr)
{
	struct p2pdma_mr_cache *cache;
	struct mr_entry *entry;
	struct list ended;

	if (!mr)
		return 0;
	entry = mr->entry;
	if (!entry)
		return context_fail(mr->buffer->context, -EINVAL,
				    "this MR is of no cache: p2pdma_mr_deregister() ends it");
	cache = entry->cache;
	if (mr_cache_is_forked(cache))
		return 0;
	list_init(&ended);
	pthread_mutex_lock(&cache->lock);
	if (--entry->refs) {
		pthread_mutex_unlock(&cache->lock);
		return 0;
	}
	if (entry->state == MR_ENTRY_ENDED) {
		mr_entry_hand_over(entry, &ended);
	} else {
		cache->status.nr_used--;
		list_append(&cache->unused, &entry->link);
		if (mr_cache_is_full(cache))
			mr_cache_evict(cache, &ended);
	}
	pthread_mutex_unlock(&cache->lock);
	if (!list_is_empty(&ended))
		mr_entries_deregister(&ended);
	return 0;
}

int p2pdma_mr_cache_query(struct p2pdma_mr_cache *cache, struct p2pdma_mr_cache_status *ret_status)
{
	struct p2pdma_mr_cache_status status;

	if (!cache)
		return -EINVAL;
	if (options_check_output(ret_status, sizeof(*ret_status)))
		return context_fail(cache->context, -EINVAL,
				    "the status to fill is NULL or has a wrong size");
	if (mr_cache_is_forked(cache))
		return context_fail(cache->context, -EOPNOTSUPP,
				    "the cache is the parent's: a forked child can't use it");
	pthread_mutex_lock(&cache->lock);
	status = cache->status;
	pthread_mutex_unlock(&cache->lock);
	options_store(ret_status, &status, sizeof(status));
	return 0;
}
