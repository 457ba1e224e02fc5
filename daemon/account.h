/* SPDX-License-Identifier: MIT */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What one user has of the daemon, over all connections and leases. */

enum account_kind {
	ACCOUNT_CONNECTIONS,
	ACCOUNT_LEASES,
	ACCOUNT_BYTES,	      /* leased */
	ACCOUNT_UNREAD_BYTES, /* queued for clients that don't read */
	ACCOUNT_UNREAD_FDS,   /* descriptors in those queues and on their way */
	ACCOUNT_PUBLISHED,    /* DMABUFs held for a publisher */
	ACCOUNT_NR_KINDS,
};

struct account_limits {
	uint64_t most[ACCOUNT_NR_KINDS];
	uint32_t requests_per_s;
	uint32_t requests_burst;
};

struct account {
	struct account *next; /* in its bucket */
	uid_t uid;
	unsigned int refs;
	uint64_t used[ACCOUNT_NR_KINDS];
	uint64_t tokens_mil; /* thousandths of a request that may come now */
	uint64_t refilled_ns;
};

struct accounts {
	struct account **buckets;
	size_t nr_buckets;
	size_t count;
	struct account_limits limits;
};

int accounts_init(struct accounts *accounts, const struct account_limits *limits);
void accounts_done(struct accounts *accounts);

/* The user's account, made when it is new; a new reference. -ENOMEM. */
int account_get(struct accounts *accounts, uid_t uid, struct account **ret_account);
/* The last reference frees it; whatever it was charged must have been discharged. */
void account_put(struct accounts *accounts, struct account *account);

/* -EDQUOT beyond the limit (root has none). Nothing is charged when it fails. */
int account_charge(const struct accounts *accounts, struct account *account, enum account_kind kind,
		   uint64_t amount);
void account_discharge(struct account *account, enum account_kind kind, uint64_t amount);

/*
 * One request at @now_ns. 0, or in how many nanoseconds it would be within the
 * limit; then nothing is counted.
 */
uint64_t account_request(const struct accounts *accounts, struct account *account, uint64_t now_ns);

/* "leases", to print. */
const char *account_kind_name(enum account_kind kind);

#endif /* ACCOUNT_H */
