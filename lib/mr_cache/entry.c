// SPDX-License-Identifier: MIT
/*
 * The end of a cache's entries, and of the cache.
 *
 * An entry ends once, under cache->lock: it leaves the index and is found no more. Whoever
 * takes its last reference away owns it from then on: the caller of the last release,
 * or, where nobody held it, who ended it. The owner deregisters without any lock. A
 * revocation ends entries under context->lock, where nothing may block, so it
 * leaves them in context->ended; every call that may have learned of one
 * deregisters what is there (mr_cache_reap()) once it has dropped its locks. Freeing the
 * cache waits until all owners are done, so that its protection domain can go next.
 *
 * An entry that the NIC won't let go of (a program that left a thread in the guard) stays
 * in cache->stuck and is tried again when the cache is emptied.
 *
 * Each entry holds the cache, and its memory region holds the buffer, so
 * both may be freed by their owners while regions are out.
 */
#include <errno.h>
#include <stdlib.h>

#include "buffer/buffer.h"
#include "mr/mr.h"
#include "mr_cache.h"

/* How many go when the NIC has no room, before it is asked again. */
#define NR_AT_ONCE 64

/* Of this process: counts the forks between it and the program's first one. */
static unsigned int nr_forks;
static int atfork_error;
static pthread_once_t atfork_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
	__atomic_fetch_add(&nr_forks, 1, __ATOMIC_RELAXED);
}

static void watch(void)
{
	atfork_error = -pthread_atfork(NULL, NULL, count_fork);
}

int mr_cache_watch_forks(unsigned int *ret_forks)
{
	pthread_once(&atfork_once, watch);
	*ret_forks = __atomic_load_n(&nr_forks, __ATOMIC_RELAXED);
	return atfork_error;
}

bool mr_cache_is_forked(const struct p2pdma_mr_cache *cache)
{
	return __atomic_load_n(&nr_forks, __ATOMIC_RELAXED) != cache->forks;
}

void mr_cache_unref(struct p2pdma_mr_cache *cache)
{
	struct p2pdma_context *context = cache->context;

	if (__atomic_fetch_sub(&cache->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	mr_index_done(&cache->index);
	pthread_cond_destroy(&cache->changed);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
	context_unref(context);
}

bool mr_cache_is_full(const struct p2pdma_mr_cache *cache)
{
	return cache->status.nr_entries > cache->max_entries ||
	       cache->status.bytes > cache->max_bytes;
}

void mr_entry_end(struct mr_entry *entry, struct list *ended)
{
	struct p2pdma_mr_cache *cache = entry->cache;

	mr_index_remove(&cache->index, entry);
	entry->state = MR_ENTRY_ENDED;
	cache->status.nr_entries--;
	cache->status.nr_ended++;
	cache->status.bytes -= entry->key.length_bytes;
	if (entry->refs) {
		cache->status.nr_used--;
		return;
	}
	list_remove(&entry->link);
	mr_entry_hand_over(entry, ended);
}

void mr_entry_hand_over(struct mr_entry *entry, struct list *ended)
{
	entry->cache->nr_going++;
	list_append(ended, &entry->link);
}

void mr_cache_evict(struct p2pdma_mr_cache *cache, struct list *ended)
{
	while (mr_cache_is_full(cache) && !list_is_empty(&cache->unused)) {
		mr_entry_end(list_entry(cache->unused.next, struct mr_entry, link), ended);
		cache->status.nr_evicted++;
	}
}

static void deregister(struct mr_entry *entry)
{
	struct p2pdma_mr_cache *cache = entry->cache;
	int r = mr_end(entry->mr);

	pthread_mutex_lock(&cache->lock);
	if (r)
		list_append(&cache->stuck, &entry->link);
	else
		cache->status.nr_ended--;
	if (!--cache->nr_going)
		pthread_cond_broadcast(&cache->changed);
	pthread_mutex_unlock(&cache->lock);
	if (r) {
		context_log(cache->context, P2PDMA_LOG_WARNING,
			    "a memory region of a cache can't be deregistered: %s", error_name(r));
		return;
	}
	free(entry);
	mr_cache_unref(cache);
}

void mr_entries_deregister(struct list *ended)
{
	list_for_each_entry_safe(entry, ended, struct mr_entry, link) {
		list_remove(&entry->link);
		deregister(entry);
	}
}

/* Under cache->lock: tries those again. */
static void take_stuck(struct p2pdma_mr_cache *cache, struct list *ended)
{
	list_for_each_entry_safe(entry, &cache->stuck, struct mr_entry, link) {
		list_remove(&entry->link);
		mr_entry_hand_over(entry, ended);
	}
}

bool mr_cache_make_room(struct p2pdma_mr_cache *cache)
{
	struct list ended;
	bool is_any;

	list_init(&ended);
	pthread_mutex_lock(&cache->lock);
	is_any = !list_is_empty(&cache->unused);
	for (int i = 0; i < NR_AT_ONCE && !list_is_empty(&cache->unused); i++) {
		mr_entry_end(list_entry(cache->unused.next, struct mr_entry, link), &ended);
		cache->status.nr_evicted++;
	}
	take_stuck(cache, &ended);
	pthread_mutex_unlock(&cache->lock);
	mr_entries_deregister(&ended);
	return is_any;
}

bool mr_cache_reap(struct p2pdma_context *context)
{
	struct list ended;
	bool is_any;

	list_init(&ended);
	pthread_mutex_lock(&context->lock);
	is_any = !list_is_empty(&context->ended);
	while (!list_is_empty(&context->ended)) {
		struct list *link = context->ended.next;

		list_remove(link);
		list_append(&ended, link);
	}
	pthread_mutex_unlock(&context->lock);
	mr_entries_deregister(&ended);
	return is_any;
}

static void drop(struct p2pdma_mr_cache *cache, const struct mr_identity *identity)
{
	struct list ended;

	list_init(&ended);
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i <= cache->index.mask; i++) {
		struct mr_entry *next;

		for (struct mr_entry *entry = cache->index.buckets[i]; entry; entry = next) {
			next = entry->next;
			if (entry->state != MR_ENTRY_LIVE ||
			    (identity && entry->key.identity != identity))
				continue;
			mr_index_stop_sharing(&cache->index, entry);
			mr_entry_end(entry, &ended);
			cache->status.nr_invalidated++;
		}
	}
	take_stuck(cache, &ended);
	pthread_mutex_unlock(&cache->lock);
	mr_entries_deregister(&ended);
}

int p2pdma_mr_cache_drop(struct p2pdma_mr_cache *cache, const struct p2pdma_buffer *buffer)
{
	const struct mr_identity *identity = NULL;

	if (!cache)
		return -EINVAL;
	if (buffer && buffer->context != cache->context)
		return context_fail(cache->context, -EINVAL, "%s is of another context",
				    buffer->name);
	if (mr_cache_is_forked(cache))
		return context_fail(cache->context, -EOPNOTSUPP,
				    "the cache is the parent's: a forked child can't use it");
	if (buffer)
		identity = __atomic_load_n(&buffer->identity, __ATOMIC_ACQUIRE);
	/* No cache knows anything of a buffer without one. */
	if (!buffer || identity)
		drop(cache, identity);
	return 0;
}

void p2pdma_mr_cache_free(struct p2pdma_mr_cache *cache)
{
	if (!cache || mr_cache_is_forked(cache))
		return;
	drop(cache, NULL);
	/* Ended by a revocation that nobody has heard of yet, they wait for somebody. */
	mr_cache_reap(cache->context);
	/* And another thread may have begun before. */
	pthread_mutex_lock(&cache->lock);
	while (cache->nr_going)
		pthread_cond_wait(&cache->changed, &cache->lock);
	pthread_mutex_unlock(&cache->lock);
	mr_cache_unref(cache);
}
