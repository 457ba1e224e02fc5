// SPDX-License-Identifier: MIT
/* Values as people write them: what they mean, and what isn't one. */
#include <errno.h>

#include "core.h"
#include "policy/values.h"

typedef int parse_function(const char *text, uint64_t *ret_value);

struct value_case {
	const char *text;
	int result;
	uint64_t value;
};

static void check(parse_function *parse, const struct value_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = 4711;
		int r = parse(cases[i].text, &value);

		if (r != cases[i].result || value != (r ? 4711 : cases[i].value))
			fail_msg("'%s': %d, %llu", cases[i].text, r, (unsigned long long)value);
	}
}

static void number_decimal_only(void **state)
{
	static const struct value_case cases[] = {
		{"0", 0, 0},
		{"42", 0, 42},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"99999999999999999999999999x", -EINVAL, 0},
	};

	(void)state;
	check(value_number, cases, ARRAY_SIZE(cases));
}

static void bytes_with_binary_units(void **state)
{
	static const struct value_case cases[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"64K", 0, 64 << 10},
		{"64M", 0, 64 << 20},
		{"64MiB", 0, 64 << 20},
		{"3G", 0, 3ULL << 30},
		{"2T", 0, 2ULL << 40},
		{"1P", 0, 1ULL << 50},
		{"15E", 0, 15ULL << 60},
		{"16E", -ERANGE, 0},
		{"18014398509481984K", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"64 M", -EINVAL, 0},
		{"64m", -EINVAL, 0},
		{"64MB", -EINVAL, 0},
		{"64Mi", -EINVAL, 0},
		{"64MiBs", -EINVAL, 0},
		{"1.5M", -EINVAL, 0},
		{"-1M", -EINVAL, 0},
		{"64X", -EINVAL, 0},
	};

	(void)state;
	check(value_bytes, cases, ARRAY_SIZE(cases));
}

static void ms_with_units(void **state)
{
	static const struct value_case cases[] = {
		{"0", 0, 0},
		{"0s", 0, 0},
		{"500ms", 0, 500},
		{"30s", 0, 30000},
		{"5min", 0, 300000},
		{"2h", 0, 7200000},
		{"1d", 0, 86400000},
		{"1h 30min", 0, 5400000},
		{"1h30min", 0, 5400000},
		{"213503982334d", 0, 213503982334ULL * 86400000},
		{"213503982335d", -ERANGE, 0},
		{"18446744073709551615ms 1ms", -ERANGE, 0},
		{"18446744073709551616ms", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"30", -EINVAL, 0},
		{"00", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"30 s", -EINVAL, 0},
		{"30sec", -EINVAL, 0},
		{"30m", -EINVAL, 0},
		{"30S", -EINVAL, 0},
		{"1h 30", -EINVAL, 0},
		{"1h x", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1.5s", -EINVAL, 0},
	};

	(void)state;
	check(value_ms, cases, ARRAY_SIZE(cases));
}

static void bool_words(void **state)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};
	static const char *const bad[] = {"", "YES", "y", "2", "yes ", "maybe", "unlimited"};
	bool value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		value = false;
		assert_int_equal(value_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(value_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(value_bool(bad[i], &value), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_decimal_only),
		cmocka_unit_test(bytes_with_binary_units),
		cmocka_unit_test(ms_with_units),
		cmocka_unit_test(bool_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
