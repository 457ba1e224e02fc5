// SPDX-License-Identifier: MIT
/*
 * The index of a cache against the plainest thing that does the same: a list that is searched
 * from end to end. Thousands of random ranges come and go, and after each step random
 * questions must have the same answers.
 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "mr_cache/mr_cache.h"

#define NR_ENTRIES    200
#define NR_IDENTITIES 2
#define NR_STEPS      20000

static struct mr_identity identities[NR_IDENTITIES];
static struct mr_entry entries[NR_ENTRIES];
static struct mr_index mr_index;

/* Its own, so that a failure is the same each time. */
static uint32_t random_below(uint32_t limit)
{
	static uint64_t seed = 42;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % limit;
}

static struct mr_key random_key(void)
{
	struct mr_key key;

	memset(&key, 0, sizeof(key));
	key.identity = &identities[random_below(NR_IDENTITIES)];
	key.offset_bytes = random_below(64);
	key.length_bytes = 1 + random_below(random_below(8) ? 8 : 64);
	key.base_iova = random_below(2) ? 4096 : 0;
	key.access = random_below(2);
	return key;
}

static bool has_class(const struct mr_entry *entry, const struct mr_key *key)
{
	return entry->key.identity == key->identity && entry->key.base_iova == key->base_iova &&
	       entry->key.access == key->access;
}

static bool is_live(const struct mr_entry *entry)
{
	return entry->state == MR_ENTRY_LIVE &&
	       entry->generation == entry->key.identity->generation;
}

static struct mr_entry *find_plainly(const struct mr_key *key)
{
	for (int i = 0; i < NR_ENTRIES; i++) {
		if (is_live(&entries[i]) && has_class(&entries[i], key) &&
		    entries[i].key.offset_bytes == key->offset_bytes &&
		    entries[i].key.length_bytes == key->length_bytes)
			return &entries[i];
	}
	return NULL;
}

static bool is_around(const struct mr_entry *entry, const struct mr_key *key)
{
	return is_live(entry) && has_class(entry, key) &&
	       entry->key.offset_bytes <= key->offset_bytes &&
	       entry->key.offset_bytes + entry->key.length_bytes >=
		       key->offset_bytes + key->length_bytes;
}

static bool has_one_around(const struct mr_key *key)
{
	for (int i = 0; i < NR_ENTRIES; i++) {
		if (is_around(&entries[i], key))
			return true;
	}
	return false;
}

static void ask(void)
{
	struct mr_key key = random_key();
	struct mr_entry *around = mr_index_find_around(&mr_index, &key);

	assert_ptr_equal(mr_index_find(&mr_index, &key), find_plainly(&key));
	assert_int_equal(!!around, has_one_around(&key));
	if (around)
		assert_true(is_around(around, &key));
}

static void change(struct mr_entry *entry)
{
	if (entry->state == MR_ENTRY_LIVE) {
		mr_index_remove(&mr_index, entry);
		entry->state = MR_ENTRY_ENDED;
		return;
	}
	entry->key = random_key();
	entry->generation = entry->key.identity->generation;
	if (find_plainly(&entry->key))
		return;
	entry->state = MR_ENTRY_LIVE;
	mr_index_add(&mr_index, entry);
	mr_index_share(&mr_index, entry);
}

/* A DMABUF ends: none of its entries is found from then on, in or out of the index. */
static void end_generation(struct mr_identity *identity)
{
	struct mr_key key;

	identity->generation++;
	for (int i = 0; i < NR_ENTRIES; i++) {
		key = entries[i].key;
		if (entries[i].state != MR_ENTRY_LIVE || key.identity != identity)
			continue;
		assert_null(mr_index_find(&mr_index, &key));
		assert_null(mr_index_find_around(&mr_index, &key));
	}
	for (int i = 0; i < NR_ENTRIES; i++) {
		if (entries[i].state != MR_ENTRY_LIVE || entries[i].key.identity != identity)
			continue;
		/* All that agree with it end together. */
		mr_index_stop_sharing(&mr_index, &entries[i]);
		assert_false(entries[i].is_shared);
		change(&entries[i]);
	}
}

static void reset(void)
{
	memset(entries, 0, sizeof(entries));
	for (int i = 0; i < NR_ENTRIES; i++)
		entries[i].state = MR_ENTRY_ENDED;
}

static void find_as_a_list_does(void **state)
{
	(void)state;
	reset();
	/* Far fewer buckets than entries: chains, and classes in one bucket. */
	assert_int_equal(mr_index_init(&mr_index, 1), 0);
	for (int step = 0; step < NR_STEPS; step++) {
		change(&entries[random_below(NR_ENTRIES)]);
		for (int i = 0; i < 4; i++)
			ask();
		if (step % 1000 == 999)
			end_generation(&identities[random_below(NR_IDENTITIES)]);
	}
	for (int i = 0; i < NR_ENTRIES; i++) {
		if (entries[i].state == MR_ENTRY_LIVE)
			change(&entries[i]);
	}
	for (size_t i = 0; i <= mr_index.mask; i++) {
		assert_null(mr_index.buckets[i]);
		assert_null(mr_index.classes[i]);
	}
	mr_index_done(&mr_index);
}

static void find_pending_exactly_only(void **state)
{
	struct mr_key inside;

	(void)state;
	reset();
	assert_int_equal(mr_index_init(&mr_index, 16), 0);
	entries[0].key = random_key();
	entries[0].key.length_bytes = 4;
	entries[0].generation = entries[0].key.identity->generation;
	entries[0].state = MR_ENTRY_PENDING;
	mr_index_add(&mr_index, &entries[0]);
	inside = entries[0].key;
	inside.length_bytes = 2;
	assert_ptr_equal(mr_index_find(&mr_index, &entries[0].key), &entries[0]);
	assert_null(mr_index_find_around(&mr_index, &inside));
	mr_index_share(&mr_index, &entries[0]);
	assert_ptr_equal(mr_index_find_around(&mr_index, &inside), &entries[0]);
	mr_index_remove(&mr_index, &entries[0]);
	assert_null(mr_index_find(&mr_index, &entries[0].key));
	assert_null(mr_index_find_around(&mr_index, &inside));
	mr_index_done(&mr_index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_as_a_list_does),
		cmocka_unit_test(find_pending_exactly_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
