// SPDX-License-Identifier: MIT
/*
 * Accounts: what each user has of the daemon, and how fast they may ask for more.
 *
 * A hash table of users with chains. An account lives as long as a connection or
 * a lease refers to it, and a little longer where its requests are spent: who hangs
 * up and connects again would otherwise begin anew each time. Such an idle account
 * is freed when its chain is looked at after its bucket has filled up again.
 *
 * Requests are a token bucket in thousandths of a request. Time only counts where
 * it went on; where the clock went back it starts from there.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "account.h"

#define FIRST_BUCKETS 64
#define REQUEST_MIL   1000U
#define NS_MIL	      1000000U /* of a rate of 1 per second, for a thousandth of a request */

static struct account **bucket_of(struct account **buckets, size_t nr_buckets, uid_t uid)
{
	/* Fibonacci hashing: uids are dense. nr_buckets is a power of two. */
	return &buckets[((uint64_t)uid * 0x9e3779b97f4a7c15ULL >> 32) & (nr_buckets - 1)];
}

int accounts_init(struct accounts *accounts, const struct account_limits *limits)
{
	struct account **buckets = calloc(FIRST_BUCKETS, sizeof(struct account *));

	if (!buckets)
		return -ENOMEM;
	*accounts = (struct accounts){
		.buckets = buckets, .nr_buckets = FIRST_BUCKETS, .limits = *limits};
	return 0;
}

static void account_free(struct account *account)
{
	lease_table_done(&account->leases);
	free(account);
}

void accounts_done(struct accounts *accounts)
{
	for (size_t i = 0; i < accounts->nr_buckets; i++) {
		struct account *next;

		for (struct account *a = accounts->buckets[i]; a; a = next) {
			next = a->next;
			account_free(a);
		}
	}
	free(accounts->buckets);
	*accounts = (struct accounts){0};
}

static uint64_t bucket_mil(const struct accounts *accounts)
{
	uint64_t burst = accounts->limits.requests_burst;

	return (burst ? burst : 1) * REQUEST_MIL;
}

static void refill(const struct accounts *accounts, struct account *account, uint64_t now_ns)
{
	uint64_t rate = accounts->limits.requests_per_s;
	uint64_t full_mil = bucket_mil(accounts);
	uint64_t elapsed_ns, added_mil;

	if (account->tokens_mil > full_mil)
		account->tokens_mil = full_mil;
	if (now_ns < account->refilled_ns)
		account->refilled_ns = now_ns;
	elapsed_ns = now_ns - account->refilled_ns;
	/* Long enough to fill it: what follows can't overflow otherwise. */
	if (!rate || elapsed_ns / NS_MIL >= full_mil / rate + 1) {
		account->tokens_mil = full_mil;
		account->refilled_ns = now_ns;
		return;
	}
	added_mil = elapsed_ns * rate / NS_MIL;
	account->tokens_mil += added_mil;
	/* The time that made no whole thousandth counts the next time, unless it is full. */
	account->refilled_ns += (added_mil * NS_MIL + rate - 1) / rate;
	if (account->tokens_mil >= full_mil) {
		account->tokens_mil = full_mil;
		account->refilled_ns = now_ns;
	}
}

static bool is_forgettable(const struct accounts *accounts, struct account *account)
{
	if (account->refs)
		return false;
	refill(accounts, account, accounts->now_ns);
	return account->tokens_mil == bucket_mil(accounts);
}

/* Looks for the user and frees what is idle on the way. */
static struct account *find(struct accounts *accounts, uid_t uid)
{
	struct account **link = bucket_of(accounts->buckets, accounts->nr_buckets, uid);
	struct account *found = NULL;

	while (*link) {
		struct account *account = *link;

		if (account->uid == uid) {
			found = account;
		} else if (is_forgettable(accounts, account)) {
			*link = account->next;
			account_free(account);
			accounts->count--;
			continue;
		}
		link = &account->next;
	}
	return found;
}

/* Chains stay short; where there is no memory for that, they grow. */
static void spread(struct accounts *accounts)
{
	size_t nr_buckets = accounts->nr_buckets * 2;
	struct account **buckets;

	if (accounts->count <= accounts->nr_buckets)
		return;
	buckets = calloc(nr_buckets, sizeof(struct account *));
	if (!buckets)
		return;
	for (size_t i = 0; i < accounts->nr_buckets; i++) {
		struct account *next;

		for (struct account *a = accounts->buckets[i]; a; a = next) {
			struct account **bucket = bucket_of(buckets, nr_buckets, a->uid);

			next = a->next;
			a->next = *bucket;
			*bucket = a;
		}
	}
	free(accounts->buckets);
	accounts->buckets = buckets;
	accounts->nr_buckets = nr_buckets;
}

const struct account *account_peek(const struct accounts *accounts, uid_t uid)
{
	const struct account *account = *bucket_of(accounts->buckets, accounts->nr_buckets, uid);

	while (account && account->uid != uid)
		account = account->next;
	return account;
}

int account_get(struct accounts *accounts, uid_t uid, struct account **ret_account)
{
	struct account *account = find(accounts, uid);
	struct account **bucket;

	if (account) {
		account->refs++;
		*ret_account = account;
		return 0;
	}
	account = calloc(1, sizeof(*account));
	if (!account)
		return -ENOMEM;
	account->uid = uid;
	list_init(&account->unread_fds);
	account->refs = 1;
	account->tokens_mil = bucket_mil(accounts);
	account->refilled_ns = accounts->now_ns;
	bucket = bucket_of(accounts->buckets, accounts->nr_buckets, uid);
	account->next = *bucket;
	*bucket = account;
	accounts->count++;
	spread(accounts);
	*ret_account = account;
	return 0;
}

void account_put(struct accounts *accounts, struct account *account)
{
	struct account **link;

	assert(account->refs);
	if (--account->refs)
		return;
	for (size_t kind = 0; kind < ACCOUNT_NR_KINDS; kind++)
		assert(!account->used[kind]);
	if (!is_forgettable(accounts, account))
		return;
	link = bucket_of(accounts->buckets, accounts->nr_buckets, account->uid);
	while (*link != account)
		link = &(*link)->next;
	*link = account->next;
	account_free(account);
	accounts->count--;
}

int account_charge(const struct accounts *accounts, struct account *account, enum account_kind kind,
		   uint64_t amount)
{
	uint64_t used;

	if (__builtin_add_overflow(account->used[kind], amount, &used) ||
	    (account->uid != 0 && used > accounts->limits.most[kind]))
		return -EDQUOT;
	account->used[kind] = used;
	return 0;
}

void account_charge_anyway(struct account *account, enum account_kind kind, uint64_t amount)
{
	account->used[kind] += amount;
}

void account_discharge(struct account *account, enum account_kind kind, uint64_t amount)
{
	assert(account->used[kind] >= amount);
	account->used[kind] -= amount;
}

uint64_t account_request(struct accounts *accounts, struct account *account, uint64_t now_ns)
{
	uint64_t rate = accounts->limits.requests_per_s;
	uint64_t missing_mil;

	accounts->now_ns = now_ns;
	if (!rate || account->uid == 0)
		return 0;
	refill(accounts, account, now_ns);
	if (account->tokens_mil >= REQUEST_MIL) {
		account->tokens_mil -= REQUEST_MIL;
		return 0;
	}
	missing_mil = REQUEST_MIL - account->tokens_mil;
	return (missing_mil * NS_MIL + rate - 1) / rate - (now_ns - account->refilled_ns);
}

const char *account_kind_name(enum account_kind kind)
{
	static const char *const names[ACCOUNT_NR_KINDS] = {
		[ACCOUNT_CONNECTIONS] = "connections",
		[ACCOUNT_LEASES] = "leases",
		[ACCOUNT_BYTES] = "leased bytes",
		[ACCOUNT_UNREAD_BYTES] = "unread bytes",
		[ACCOUNT_UNREAD_FDS] = "unread descriptors",
		[ACCOUNT_PUBLISHED] = "published DMABUFs",
		[ACCOUNT_CLOSING] = "descriptors being closed",
		[ACCOUNT_MONITORS] = "monitors",
	};

	return (size_t)kind < ACCOUNT_NR_KINDS ? names[kind] : "unknown";
}
