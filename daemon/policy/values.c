// SPDX-License-Identifier: MIT
/*
 * Numbers, sizes, durations and yes or no.
 *
 * Sizes are in powers of two, as memory is. A duration needs its unit: 30 of what is
 * what one guesses wrong. Pure functions; no locale, no strtoull() that would take
 * signs and spaces.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "values.h"

static int take_number(const char **cursor, uint64_t *ret_value)
{
	uint64_t value = 0;
	int r = 0;

	if (**cursor < '0' || **cursor > '9')
		return -EINVAL;
	for (; **cursor >= '0' && **cursor <= '9'; (*cursor)++)
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (unsigned int)(**cursor - '0'), &value))
			r = -ERANGE;
	*ret_value = value;
	return r;
}

int value_number(const char *text, uint64_t *ret_value)
{
	uint64_t value;
	int r = take_number(&text, &value);

	if (*text)
		return -EINVAL;
	if (!r)
		*ret_value = value;
	return r;
}

int value_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	uint64_t bytes;
	int r = take_number(&text, &bytes);

	if (r == -EINVAL)
		return r;
	if (*text) {
		unit = strchr(units, *text);
		if (!unit || (text[1] && strcmp(text + 1, "iB") != 0))
			return -EINVAL;
		if (__builtin_mul_overflow(bytes, 1ULL << (10 * (unit - units + 1)), &bytes))
			r = -ERANGE;
	}
	if (!r)
		*ret_bytes = bytes;
	return r;
}

int value_ms(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000ULL}, {"d", 86400000ULL}};
	uint64_t sum_ms = 0;
	int r = 0;

	if (!strcmp(text, "0")) {
		*ret_ms = 0;
		return 0;
	}
	do {
		uint64_t ms;
		size_t length, i;
		int failed = take_number(&text, &ms);

		if (failed == -EINVAL)
			return failed;
		length = strspn(text, "abcdefghijklmnopqrstuvwxyz");
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strlen(units[i].name) == length && !memcmp(units[i].name, text, length))
				break;
		if (i == sizeof(units) / sizeof(units[0]))
			return -EINVAL;
		if (failed || __builtin_mul_overflow(ms, units[i].ms, &ms) ||
		    __builtin_add_overflow(sum_ms, ms, &sum_ms))
			r = -ERANGE;
		text += length;
		text += strspn(text, " ");
	} while (*text);
	if (!r)
		*ret_ms = sum_ms;
	return r;
}

int value_bool(const char *text, bool *ret_value)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i], text)) {
			*ret_value = i % 2;
			return 0;
		}
	return -EINVAL;
}
