/* SPDX-License-Identifier: MIT */
#ifndef MR_CACHE_H
#define MR_CACHE_H

#include <pthread.h>
#include <stdbool.h>

#include <p2pdma/mr_cache.h>

#include "common/list.h"
#include "index.h"
#include "identity.h"

enum mr_entry_state {
	MR_ENTRY_PENDING, /* in the index, being registered by who made it */
	MR_ENTRY_LIVE,	  /* in the index */
	MR_ENTRY_ENDED,	  /* in no index; deregistered with its last reference */
};

struct mr_entry {
	struct mr_entry *next; /* in its bucket */
	struct mr_key key;
	uint64_t generation; /* of the identity, when the registration began */
	uint32_t refs;	     /* of callers; under cache->lock */
	enum mr_entry_state state;
	struct p2pdma_mr *mr;
	struct list link; /* in cache->unused, or where ended entries wait to be deregistered */
	struct p2pdma_mr_cache *cache;
	bool is_shared; /* the index has it for ranges inside */
};

struct p2pdma_mr_cache {
	pthread_mutex_t lock;	/* everything below up to the blank line; after context->lock */
	pthread_cond_t changed; /* a pending entry isn't any more, or nr_going is 0 */
	struct mr_index index;
	struct list unused; /* live, without references, the longest unused first */
	struct list stuck;  /* ended, and the NIC wouldn't let go of them */
	uint32_t nr_going;  /* ended, and about to be deregistered by whoever owns them */
	struct p2pdma_mr_cache_status status;

	struct p2pdma_context *context;
	struct ibv_pd *pd;
	uint32_t flags;
	uint32_t max_entries;
	uint64_t max_bytes;
	unsigned int refs;  /* the owner's and one for each entry; atomic */
	unsigned int forks; /* of the process that made it */
};

/* All under cache->lock. */
bool mr_cache_is_full(const struct p2pdma_mr_cache *cache);
/* Takes an entry out of the index; without references it goes to @ended. */
void mr_entry_end(struct mr_entry *entry, struct list *ended);
/* Gives an ended entry without references to @ended, whose owner deregisters it. */
void mr_entry_hand_over(struct mr_entry *entry, struct list *ended);
/* As many of the longest unused as are too many go to @ended. */
void mr_cache_evict(struct p2pdma_mr_cache *cache, struct list *ended);

/* No lock held. */
void mr_entries_deregister(struct list *ended);
/* Ends some of the longest unused; were there any? */
bool mr_cache_make_room(struct p2pdma_mr_cache *cache);
void mr_cache_unref(struct p2pdma_mr_cache *cache);

/* Deregisters what ended with its DMABUF and waits in context->ended; was there any? */
bool mr_cache_reap(struct p2pdma_context *context);

/* Is this another process than the one that made the cache? */
int mr_cache_watch_forks(unsigned int *ret_forks);
bool mr_cache_is_forked(const struct p2pdma_mr_cache *cache);

#endif /* MR_CACHE_H */
