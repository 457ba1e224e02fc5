// SPDX-License-Identifier: MIT
/* Deadlines: whatever is set, moved and cleared, they come out sorted. */
#include <errno.h>
#include <stdlib.h>

#include "core.h"
#include "broker/deadlines.h"

#define NR_NODES 300

static void first_of_none_null(void **state)
{
	struct deadline deadline = {0};
	struct deadlines deadlines;

	(void)state;
	deadlines_init(&deadlines);
	assert_null(deadlines_first(&deadlines));
	deadlines_clear(&deadlines, &deadline);
	assert_int_equal(deadlines_reserve(&deadlines, 0), 0);
	assert_int_equal(deadlines_reserve(&deadlines, 1), 0);
	deadlines_set(&deadlines, &deadline, 0);
	assert_ptr_equal(deadlines_first(&deadlines), &deadline);
	deadlines_clear(&deadlines, &deadline);
	assert_int_equal(deadline.place, 0);
	deadlines_clear(&deadlines, &deadline);
	assert_null(deadlines_first(&deadlines));
	deadlines_done(&deadlines);
}

static void reserve_too_much_enomem(void **state)
{
	struct deadline deadline = {0};
	struct deadlines deadlines;

	(void)state;
	deadlines_init(&deadlines);
	assert_int_equal(deadlines_reserve(&deadlines, SIZE_MAX), -ENOMEM);
	assert_int_equal(deadlines_reserve(&deadlines, SIZE_MAX / 8), -ENOMEM);
	assert_int_equal(deadlines_reserve(&deadlines, 1), 0);
	deadlines_set(&deadlines, &deadline, 1);
	assert_int_equal(deadlines_reserve(&deadlines, SIZE_MAX), -ENOMEM);
	assert_ptr_equal(deadlines_first(&deadlines), &deadline);
	deadlines_done(&deadlines);
}

static void set_after_reserve_asks_for_no_memory(void **state)
{
	struct deadline nodes[10] = {{0}};
	struct deadlines deadlines;
	struct deadline **array;

	(void)state;
	deadlines_init(&deadlines);
	assert_int_equal(deadlines_reserve(&deadlines, 10), 0);
	array = deadlines.nodes;
	assert_int_equal(deadlines_reserve(&deadlines, 9), 0);
	for (size_t i = 0; i < 10; i++)
		deadlines_set(&deadlines, &nodes[i], 10 - i);
	assert_ptr_equal(deadlines.nodes, array);
	assert_ptr_equal(deadlines_first(&deadlines), &nodes[9]);
	deadlines_done(&deadlines);
}

static void check_heap(const struct deadlines *deadlines)
{
	for (size_t place = 1; place <= deadlines->count; place++) {
		assert_int_equal(deadlines->nodes[place - 1]->place, place);
		if (place > 1)
			assert_true(deadlines->nodes[place / 2 - 1]->time_ns <=
				    deadlines->nodes[place - 1]->time_ns);
	}
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Takes all out and compares with what qsort() makes of the same times. */
static void drain(struct deadlines *deadlines, struct deadline *nodes)
{
	uint64_t times[NR_NODES];
	size_t count = 0;

	for (size_t i = 0; i < NR_NODES; i++)
		if (nodes[i].place)
			times[count++] = nodes[i].time_ns;
	assert_int_equal(count, deadlines->count);
	qsort(times, count, sizeof(times[0]), compare_times);
	for (size_t i = 0; i < count; i++) {
		struct deadline *first = deadlines_first(deadlines);

		assert_non_null(first);
		assert_int_equal(first->time_ns, times[i]);
		deadlines_clear(deadlines, first);
		check_heap(deadlines);
	}
	assert_null(deadlines_first(deadlines));
}

static void random_steps_come_out_sorted(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct deadline nodes[NR_NODES] = {{0}};
		uint64_t random = seed * 0x9e3779b97f4a7c15ULL;
		struct deadlines deadlines;

		print_message("seed %u\n", (unsigned int)seed);
		deadlines_init(&deadlines);
		for (int step = 0; step < 2000; step++) {
			uint64_t number = next_random(&random);
			struct deadline *node = &nodes[number % NR_NODES];
			uint64_t time_ns = (number >> 16) % 50;

			if ((number >> 40) % 3 == 0) {
				deadlines_clear(&deadlines, node);
				assert_int_equal(node->place, 0);
			} else {
				/* Few different times, and both ends of them. */
				if (time_ns == 49)
					time_ns = UINT64_MAX;
				assert_int_equal(deadlines_reserve(&deadlines, NR_NODES), 0);
				deadlines_set(&deadlines, node, time_ns);
				assert_int_equal(node->time_ns, time_ns);
			}
			check_heap(&deadlines);
		}
		drain(&deadlines, nodes);
		deadlines_done(&deadlines);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_of_none_null),
		cmocka_unit_test(reserve_too_much_enomem),
		cmocka_unit_test(set_after_reserve_asks_for_no_memory),
		cmocka_unit_test(random_steps_come_out_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
