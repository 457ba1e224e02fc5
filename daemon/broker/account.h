/* SPDX-License-Identifier: MIT */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/list.h"
#include "lease_table.h"

/* What one user has of the daemon, over all connections and leases. */

enum account_kind {
	ACCOUNT_CONNECTIONS,
	ACCOUNT_LEASES,
	ACCOUNT_BYTES,	      /* leased */
	ACCOUNT_UNREAD_BYTES, /* queued for clients that don't read */
	ACCOUNT_UNREAD_FDS,   /* descriptors in those queues and on their way */
	ACCOUNT_PUBLISHED,    /* DMABUFs held for a publisher */
	ACCOUNT_CLOSING,      /* descriptors that it sent and that aren't closed yet */
	ACCOUNT_MONITORS,     /* connections that hear of what happens */
	ACCOUNT_NR_KINDS,
};

struct account_limits {
	uint64_t most[ACCOUNT_NR_KINDS];
	uint32_t requests_per_s; /* 0: as many as they like */
	uint32_t requests_burst; /* at once, at least 1 */
};

struct account {
	struct account *next; /* in its bucket */
	uid_t uid;
	unsigned int refs;
	uint64_t used[ACCOUNT_NR_KINDS];
	uint32_t nr_under_way;	   /* leases that are over as soon as their device has settled */
	struct lease_table leases; /* so that its list costs nobody a walk over all others' */
	struct list unread_fds; /* connections with descriptors that aren't known to be received */
	uint64_t tokens_mil;	/* thousandths of a request that may come now */
	uint64_t refilled_ns;
};

struct accounts {
	struct account **buckets;
	size_t nr_buckets;
	size_t count;		      /* with those that nobody refers to */
	struct account_limits limits; /* may be set anew at any time */
	uint64_t now_ns;	      /* of the last request */
};

int accounts_init(struct accounts *accounts, const struct account_limits *limits);
void accounts_done(struct accounts *accounts);

/* As it is; NULL: the user has nothing here. */
const struct account *account_peek(const struct accounts *accounts, uid_t uid);

/* The user's account, made when it is new; a new reference. -ENOMEM. */
int account_get(struct accounts *accounts, uid_t uid, struct account **ret_account);
static inline struct account *account_ref(struct account *account)
{
	account->refs++;
	return account;
}

/*
 * The last reference frees it; whatever it was charged must have been discharged. Who has just
 * spent their requests is remembered until they would have them again: a new connection
 * begins with no new ones.
 */
void account_put(struct accounts *accounts, struct account *account);

/* -EDQUOT beyond the limit (root has none). Nothing is charged when it fails. */
int account_charge(const struct accounts *accounts, struct account *account, enum account_kind kind,
		   uint64_t amount);
/* Of what is there already, also beyond the limit. */
void account_charge_anyway(struct account *account, enum account_kind kind, uint64_t amount);
void account_discharge(struct account *account, enum account_kind kind, uint64_t amount);

/*
 * One request at @now_ns. 0, or in how many nanoseconds it would be within the
 * limit (root has none); then nothing is counted.
 */
uint64_t account_request(struct accounts *accounts, struct account *account, uint64_t now_ns);

/* "leases", to print. */
const char *account_kind_name(enum account_kind kind);

#endif /* ACCOUNT_H */
