// SPDX-License-Identifier: MIT
/* Structures that grow, from either side of a version. */
#include <errno.h>
#include <string.h>

#include "fake.h"
#include "context/options.h"

struct today {
	uint32_t size_bytes;
	uint32_t first;
	uint64_t added;
};

struct tomorrow {
	struct today today;
	uint64_t unknown;
};

#define FIRST_SIZE offsetof(struct today, added)

static void load_older_zeroes_rest(void **state)
{
	struct today old = {FIRST_SIZE, 7, 99}, known;

	(void)state;
	assert_int_equal(options_load(&known, sizeof(known), FIRST_SIZE, &old), 0);
	assert_int_equal(known.first, 7);
	assert_int_equal(known.added, 0);
}

static void load_newer_zero_tail_accepted(void **state)
{
	struct tomorrow new = {{sizeof(new), 7, 8}, 0};
	struct today known;

	(void)state;
	assert_int_equal(options_load(&known, sizeof(known), FIRST_SIZE, &new), 0);
	assert_int_equal(known.added, 8);
}

static void load_newer_with_request_e2big(void **state)
{
	struct tomorrow new = {{sizeof(new), 7, 8}, 1ULL << 63};
	struct today known;

	(void)state;
	assert_int_equal(options_load(&known, sizeof(known), FIRST_SIZE, &new), -E2BIG);
}

static void load_too_small_einval(void **state)
{
	struct today small = {FIRST_SIZE - 1, 0, 0}, known;

	(void)state;
	assert_int_equal(options_load(&known, sizeof(known), FIRST_SIZE, &small), -EINVAL);
}

static void store_older_is_not_overrun(void **state)
{
	struct today old = {FIRST_SIZE, 0, 42}, value = {sizeof(value), 7, 8};

	(void)state;
	assert_int_equal(options_check_output(&old, FIRST_SIZE), 0);
	options_store(&old, &value, sizeof(value));
	assert_int_equal(old.size_bytes, FIRST_SIZE);
	assert_int_equal(old.first, 7);
	assert_int_equal(old.added, 42);
}

static void store_newer_zeroes_tail(void **state)
{
	struct tomorrow new = {{sizeof(new), 0, 0}, 42};
	struct today value = {sizeof(value), 7, 8};

	(void)state;
	options_store(&new, &value, sizeof(value));
	assert_int_equal(new.today.size_bytes, sizeof(new));
	assert_int_equal(new.today.added, 8);
	assert_int_equal(new.unknown, 0);
}

static void check_output_null_or_small_einval(void **state)
{
	struct today small = {4, 0, 0};

	(void)state;
	assert_int_equal(options_check_output(NULL, FIRST_SIZE), -EINVAL);
	assert_int_equal(options_check_output(&small, FIRST_SIZE), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_older_zeroes_rest),
		cmocka_unit_test(load_newer_zero_tail_accepted),
		cmocka_unit_test(load_newer_with_request_e2big),
		cmocka_unit_test(load_too_small_einval),
		cmocka_unit_test(store_older_is_not_overrun),
		cmocka_unit_test(store_newer_zeroes_tail),
		cmocka_unit_test(check_output_null_or_small_einval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
