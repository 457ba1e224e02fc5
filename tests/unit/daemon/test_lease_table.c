// SPDX-License-Identifier: MIT
/*
 * Leases by id: whatever ids are missing, finding and walking bring what was put in and not
 * taken out.
 */
#include "core.h"

#include <string.h>

#include "broker/lease.h"
#include "broker/lease_table.h"

#define NR_IDS 400

static struct lease leases[NR_IDS];
static bool is_in[NR_IDS];

static void assert_same(const struct lease_table *table)
{
	size_t count = 0;
	uint64_t next = 0;

	for (uint64_t id = NR_IDS; id-- > 0;) {
		struct lease *found = lease_table_after(table, id);

		if (next)
			assert_ptr_equal(found, &leases[next]);
		else
			assert_null(found);
		found = lease_table_find(table, id);
		if (is_in[id])
			assert_ptr_equal(found, &leases[id]);
		else
			assert_null(found);
		count += is_in[id];
		next = is_in[id] ? id : next;
	}
	assert_int_equal(table->count, count);
	assert_null(lease_table_find(table, UINT64_MAX));
	assert_null(lease_table_after(table, UINT64_MAX - 1));
}

/* One in @step of the ids from @first on, then all out again in another order. */
static void find_among_ids(uint64_t first, uint64_t step, uint64_t seed)
{
	struct lease_table table = {0};

	memset(is_in, 0, sizeof(is_in));
	for (uint64_t id = first; id < NR_IDS;
	     id += 1 + (step > 1 ? next_random(&seed) % step : 0)) {
		leases[id].id = id;
		assert_int_equal(lease_table_add(&table, &leases[id]), 0);
		is_in[id] = true;
	}
	assert_same(&table);
	for (int i = 0; i < 20 * NR_IDS; i++) {
		uint64_t id = next_random(&seed) % NR_IDS;

		lease_table_remove(&table, &leases[id]);
		is_in[id] = false;
		if (i % 97 == 0)
			assert_same(&table);
	}
	assert_same(&table);
	lease_table_done(&table);
}

static void find_without_gaps(void **state)
{
	(void)state;
	find_among_ids(1, 1, 3);
	find_among_ids(350, 1, 4);
}

static void find_with_gaps(void **state)
{
	(void)state;
	for (uint64_t step = 2; step < 40; step += 3)
		find_among_ids(step, step, step);
}

/* Restored leases come in the order of the journal. */
static void add_below_others_sorted(void **state)
{
	struct lease_table table = {0};
	uint64_t seed = 7;

	(void)state;
	memset(is_in, 0, sizeof(is_in));
	for (int i = 0; i < 300; i++) {
		uint64_t id = 1 + next_random(&seed) % (NR_IDS - 1);

		if (is_in[id])
			continue;
		leases[id].id = id;
		assert_int_equal(lease_table_add(&table, &leases[id]), 0);
		is_in[id] = true;
	}
	assert_same(&table);
	lease_table_done(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_without_gaps),
		cmocka_unit_test(find_with_gaps),
		cmocka_unit_test(add_below_others_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
