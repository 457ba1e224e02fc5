// SPDX-License-Identifier: MIT
/* Patterns: case by case, and against a plain recursive matcher. */
#include <string.h>

#include "core.h"
#include "policy/glob.h"

static const struct {
	const char *pattern, *text;
	bool is_match;
} cases[] = {
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"a", "a", true},
	{"a", "ab", false},
	{"*", "", true},
	{"*", "abc", true},
	{"*", "a/b", false},
	{"**", "a/b", true},
	{"**", "", true},
	{"***", "a/b/c", true},
	{"?", "a", true},
	{"?", "", false},
	{"?", "/", false},
	{"a?c", "abc", true},
	{"a*c", "abbc", true},
	{"a*c", "abcd", false},
	{"a*c", "acbc", true},
	{"/system.slice/*", "/system.slice/a.service", true},
	{"/system.slice/*", "/system.slice/", true},
	{"/system.slice/*", "/system.slice/a.service/sub", false},
	{"/system.slice/**", "/system.slice/a.service/sub", true},
	{"/system.slice", "/system.slice/a", false},
	{"/user.slice/*/user@*.service/**", "/user.slice/user-7.slice/user@7.service/x/y", true},
	{"/user.slice/*/user@*.service/**", "/user.slice/user-7.slice/session-1.scope", false},
	{"**/job_*/step_0", "/a/job_1/job_2/step_0", true},
	{"**/job_*/step_0", "/a/job_1/job_2/step_1", false},
	{"**.service", "/a.service/b", false},
	{"[a]", "[a]", true},
	{"[a]", "a", false},
	{"\\*", "*", false},
};

static void matches_as_in_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (glob_matches(cases[i].pattern, cases[i].text, strlen(cases[i].text)) !=
		    cases[i].is_match)
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].text);
}

static void text_ends_where_its_length_says(void **state)
{
	(void)state;
	assert_true(glob_matches("a.service", "a.service/b", 9));
	assert_false(glob_matches("a.service/b", "a.service/b", 9));
}

static bool slow(const char *pattern, const char *text)
{
	if (pattern[0] == '*') {
		bool is_double = pattern[1] == '*';

		for (;; text++) {
			if (slow(pattern + (is_double ? 2 : 1), text))
				return true;
			if (!*text || (*text == '/' && !is_double))
				return false;
		}
	}
	if (!*pattern || !*text)
		return *pattern == *text;
	if (*pattern != *text && (*pattern != '?' || *text == '/'))
		return false;
	return slow(pattern + 1, text + 1);
}

static void random_text(char *text, size_t size, const char *letters, uint64_t *random)
{
	size_t length = next_random(random) % size;

	for (size_t i = 0; i < length; i++)
		text[i] = letters[next_random(random) % strlen(letters)];
	text[length] = '\0';
}

static void random_ones_agree_with_the_slow_way(void **state)
{
	uint64_t random = 4711;
	size_t nr_matches = 0;

	(void)state;
	print_message("seed 4711\n");
	for (int i = 0; i < 300000; i++) {
		char pattern[10], text[12];

		random_text(pattern, sizeof(pattern), "ab/**?", &random);
		random_text(text, sizeof(text), "aab/", &random);
		if (glob_matches(pattern, text, strlen(text)) != slow(pattern, text))
			fail_msg("'%s' and '%s'", pattern, text);
		nr_matches += slow(pattern, text);
	}
	/* Or it would show nothing. */
	assert_in_range(nr_matches, 10000, 290000);
}

static void many_stars_end_in_time(void **state)
{
	static char text[4096];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_false(glob_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab", text,
				  sizeof(text)));
	assert_false(glob_matches("**a**a**a**a**a**a**a**a**a**a**a**a**a*a*a*a**ab", text,
				  sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_as_in_the_table),
		cmocka_unit_test(text_ends_where_its_length_says),
		cmocka_unit_test(random_ones_agree_with_the_slow_way),
		cmocka_unit_test(many_stars_end_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
