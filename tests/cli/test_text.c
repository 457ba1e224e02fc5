// SPDX-License-Identifier: MIT
/* Numbers as people write and read them, and text that is whatever a device says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those before it. */
#include <cmocka.h>

#include "cli.h"

static void parse_bytes_takes_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"0x1000", 4096},
		{"64k", 65536},
		{"64KiB", 65536},
		{"2M", 2 << 20},
		{"1g", 1 << 30},
		{"3T", 3ULL << 40},
		{"16777215T", 16777215ULL << 40},
		{"18446744073709551615", UINT64_MAX},
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse_bytes(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
}

static void parse_bytes_refuses_the_rest(void **state)
{
	static const char *const bad[] = {"",
					  "M",
					  "-1",
					  "+1",
					  " 1",
					  "1 M",
					  "1.5G",
					  "1X",
					  "0x",
					  "0xg",
					  "1MM",
					  "16777216T",
					  "18446744073709551616",
					  "99999999999999999999999999999999999999"};
	uint64_t bytes = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_bytes(bad[i], &bytes), -EINVAL);
	assert_int_equal(bytes, 7);
}

static void parse_time_takes_units(void **state)
{
	uint64_t ms;

	(void)state;
	assert_int_equal(parse_time("500ms", &ms), 0);
	assert_int_equal(ms, 500);
	assert_int_equal(parse_time("10", &ms), 0);
	assert_int_equal(ms, 10000);
	assert_int_equal(parse_time("5m", &ms), 0);
	assert_int_equal(ms, 300000);
	assert_int_equal(parse_time("2d", &ms), 0);
	assert_int_equal(ms, 172800000);
	assert_int_equal(parse_time("soon", &ms), -EINVAL);
	assert_int_equal(parse_time("1y", &ms), -EINVAL);
	assert_int_equal(parse_time("0x10", &ms), -EINVAL);
}

static void parse_user_takes_names_and_numbers(void **state)
{
	uint32_t uid = 7;

	(void)state;
	assert_int_equal(parse_user("root", &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(parse_user("1000", &uid), 0);
	assert_int_equal(uid, 1000);
	/* That one means everybody. */
	assert_int_equal(parse_user("4294967295", &uid), -EINVAL);
	assert_int_equal(parse_user("no such user", &uid), -EINVAL);
}

static void assert_bytes(uint64_t bytes, const char *expected)
{
	char text[32];

	format_bytes(bytes, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void format_says_what_people_read(void **state)
{
	char text[32];

	(void)state;
	assert_bytes(0, "0 B");
	assert_bytes(1023, "1023 B");
	assert_bytes(4096, "4 KiB");
	assert_bytes(1536, "1.5 KiB");
	assert_bytes(64 << 20, "64 MiB");
	assert_bytes(UINT64_MAX, "16383 PiB");
	format_time(0, text, sizeof(text));
	assert_string_equal(text, "0 ns");
	format_time(1500000000, text, sizeof(text));
	assert_string_equal(text, "1.5 s");
	format_time(90000000000, text, sizeof(text));
	assert_string_equal(text, "1.5 min");
}

static void names_of_unknown_numbers(void **state)
{
	(void)state;
	assert_string_equal(state_name(P2PDMA_LEASE_REVOKING), "revoking");
	assert_string_equal(state_name(99), "unknown");
	assert_string_equal(mode_name(0), "unknown");
	assert_string_equal(force_name(UINT32_MAX), "unknown");
	assert_string_equal(backend_name(0), "unknown");
	assert_string_equal(monitor_name(P2PDMA_MONITOR_LOST), "lost");
	assert_string_equal(monitor_name(P2PDMA_MONITOR_POLICY_REFUSED), "policy-refused");
	assert_string_equal(monitor_name(P2PDMA_MONITOR_POLICY_REFUSED + 1), "unknown");
}

static void utf8_takes_what_is_wellformed(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {
		{"a", 1},
		{"\x7f", 1},
		{"\xc2\x80", 2},
		{"\xdf\xbf", 2},
		{"\xe0\xa0\x80", 3},
		{"\xed\x9f\xbf", 3},
		{"\xee\x80\x80", 3},
		{"\xef\xbf\xbd", 3},
		{"\xf0\x90\x80\x80", 4},
		{"\xf4\x8f\xbf\xbf", 4},
		{"", 0},
		/* No first byte. */
		{"\x80", 0},
		{"\xbf", 0},
		{"\xf8\x88\x80\x80\x80", 0},
		{"\xff", 0},
		/* It ends too early. */
		{"\xc2", 0},
		{"\xc2"
		 "a",
		 0},
		{"\xe0\xa0", 0},
		{"\xe0\xa0"
		 "a",
		 0},
		{"\xf0\x90\x80", 0},
		/* Longer than it must be, half of a pair, beyond the end. */
		{"\xc0\x80", 0},
		{"\xc1\xbf", 0},
		{"\xe0\x9f\xbf", 0},
		{"\xed\xa0\x80", 0},
		{"\xed\xbf\xbf", 0},
		{"\xf0\x8f\xbf\xbf", 0},
		{"\xf4\x90\x80\x80", 0},
		{"\xf5\x80\x80\x80", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(utf8_length(cases[i].text), cases[i].length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_bytes_takes_units),
		cmocka_unit_test(parse_bytes_refuses_the_rest),
		cmocka_unit_test(parse_time_takes_units),
		cmocka_unit_test(parse_user_takes_names_and_numbers),
		cmocka_unit_test(format_says_what_people_read),
		cmocka_unit_test(names_of_unknown_numbers),
		cmocka_unit_test(utf8_takes_what_is_wellformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
