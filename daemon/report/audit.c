// SPDX-License-Identifier: MIT
/*
 * Lines about users in the log: everything of those who do little, and the sums of those
 * who do much. Nobody's lines are counted against somebody else: whoever could fill a place
 * that users share would silence the others in it. Nor are a user's denials counted against its
 * grants: what it holds must not be hidden behind what it only asked for.
 *
 * A user has an entry from the first event on until its bursts are whole again and
 * nothing is left to be told, so there are as many as users were active lately. Somebody
 * with a range of user namespaces' uids has as many users as they like: beyond
 * AUDIT_MOST_USERS new ones share an entry.
 */
#include <errno.h>
#include <stdlib.h>

#include "audit.h"
#include "common/clock.h"
#include "common/list.h"

#define NR_BUCKETS 256U

enum purpose {
	LEASES,
	TALK,
	NR_PURPOSES,
};

static const uint32_t bursts[NR_PURPOSES] = {AUDIT_BURST, AUDIT_TALK_BURST};

struct entry {
	struct list link;
	struct audit_sum sum;
	struct budget {
		uint32_t left;
		uint64_t since_ns; /* the last time that something was earned */
	} budgets[NR_PURPOSES];
};

struct audit {
	struct list buckets[NR_BUCKETS];
	uint64_t nr_entries;
};

int audit_new(struct audit **ret_audit)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return -ENOMEM;
	for (size_t i = 0; i < NR_BUCKETS; i++)
		list_init(&audit->buckets[i]);
	*ret_audit = audit;
	return 0;
}

void audit_free(struct audit *audit)
{
	if (!audit)
		return;
	for (size_t i = 0; i < NR_BUCKETS; i++)
		list_for_each_entry_safe(entry, &audit->buckets[i], struct entry, link)
			free(entry);
	free(audit);
}

static struct entry *entry_of(struct audit *audit, uid_t uid, uint64_t now_ns)
{
	struct list *bucket = &audit->buckets[uid % NR_BUCKETS];
	struct entry *new;

	list_for_each_entry(entry, bucket, struct entry, link)
		if (entry->sum.uid == uid)
			return entry;
	if (audit->nr_entries >= AUDIT_MOST_USERS && uid != AUDIT_OTHERS)
		return entry_of(audit, AUDIT_OTHERS, now_ns);
	new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	new->sum.uid = uid;
	for (size_t i = 0; i < NR_PURPOSES; i++)
		new->budgets[i] = (struct budget){bursts[i], now_ns};
	list_append(bucket, &new->link);
	audit->nr_entries++;
	return new;
}

static void earn(struct budget *budget, uint32_t burst, uint64_t now_ns)
{
	uint64_t each_ns = NS_PER_S / AUDIT_PER_SECOND;
	uint64_t earned = (now_ns - budget->since_ns) / each_ns;

	if (earned >= burst - budget->left) {
		budget->left = burst;
		budget->since_ns = now_ns;
		return;
	}
	budget->left += (uint32_t)earned;
	budget->since_ns += earned * each_ns;
}

bool audit_admit(struct audit *audit, uid_t uid, uint64_t now_ns, enum audit_kind kind,
		 uint64_t size_bytes)
{
	enum purpose purpose = kind == AUDIT_DENIED || kind == AUDIT_LINE ? TALK : LEASES;
	struct budget *budget;
	struct entry *entry;

	if (uid == 0)
		return true;
	entry = entry_of(audit, uid, now_ns);
	if (!entry)
		return true;
	budget = &entry->budgets[purpose];
	earn(budget, bursts[purpose], now_ns);
	if (budget->left) {
		budget->left--;
		return true;
	}
	entry->sum.count[kind]++;
	entry->sum.bytes[kind] += size_bytes;
	return false;
}

bool audit_is_busy(const struct audit *audit)
{
	return audit->nr_entries != 0;
}

static bool is_whole(struct entry *entry, uint64_t now_ns)
{
	bool is_whole = true;

	for (size_t i = 0; i < NR_PURPOSES; i++) {
		earn(&entry->budgets[i], bursts[i], now_ns);
		is_whole &= entry->budgets[i].left == bursts[i];
	}
	return is_whole;
}

static bool is_empty(const struct audit_sum *sum)
{
	for (size_t i = 0; i < AUDIT_NR_KINDS; i++)
		if (sum->count[i])
			return false;
	return true;
}

void audit_sums(struct audit *audit, uint64_t now_ns,
		void (*tell)(void *data, const struct audit_sum *sum), void *data)
{
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		list_for_each_entry_safe(entry, &audit->buckets[i], struct entry, link) {
			if (!is_empty(&entry->sum))
				tell(data, &entry->sum);
			entry->sum = (struct audit_sum){.uid = entry->sum.uid};
			if (!is_whole(entry, now_ns))
				continue;
			list_remove(&entry->link);
			free(entry);
			audit->nr_entries--;
		}
	}
}
