// SPDX-License-Identifier: MIT
/* Selectors: exactly the grammar, and what each form means. */
#include <errno.h>
#include <string.h>

#include "core.h"
#include "identities.h"
#include "policy/selector.h"

static bool matches(const char *text, const struct identity *identity)
{
	struct selector selector;

	assert_int_equal(selector_parse(text, &selector), 0);
	return selector_matches(&selector, identity);
}

static void parse_bad_einval(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"**",
		"* ",
		"0000:41:00",
		"0000:41:00.0/",
		"0000:41:00.0/6",
		"0000:41:00.0/2@",
		"0000:41:00.0@77",
		"0000:41:00.0/2@77 ",
		"10ee",
		"10ee:",
		"10ee:903",
		"10ee:903f0",
		"10ee:903g",
		"10e:903f",
		"10ee:**",
		"*:903f",
		"10ee:*x",
		"10ee:90*",
		"class:",
		"class:0",
		"class:030",
		"class:03020",
		"class:03020000",
		"class:0x",
		"class:*",
		"Class:03",
		"backend:",
		"backend:*",
		"backend:cuda",
		"backend:EXPORT",
		"backend:unknown",
		"published:",
		"published:a b",
		"published:*a",
		"published:a**",
		"published:a/b",
		"published:\xc3\xa4",
		"published",
	};
	struct selector selector;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&selector, 0x5a, sizeof(selector));
		if (selector_parse(bad[i], &selector) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
		/* Outputs are untouched on failure. */
		for (size_t k = 0; k < sizeof(selector); k++)
			assert_int_equal(((unsigned char *)&selector)[k], 0x5a);
	}
}

static void parse_published_name_length_limited(void **state)
{
	char text[10 + WIRE_NAME_SIZE + 1] = "published:";
	struct selector selector;

	(void)state;
	memset(text + 10, 'n', WIRE_NAME_SIZE - 1);
	assert_int_equal(selector_parse(text, &selector), 0);
	assert_int_equal(strlen(selector.published), WIRE_NAME_SIZE - 1);
	text[10 + WIRE_NAME_SIZE - 1] = '*';
	assert_int_equal(selector_parse(text, &selector), 0);
	assert_true(selector.is_prefix);
	text[10 + WIRE_NAME_SIZE - 1] = 'n';
	assert_int_equal(selector_parse(text, &selector), -EINVAL);
}

static void matches_all_everything(void **state)
{
	(void)state;
	assert_true(matches("*", &some_bar));
	assert_true(matches("*", &some_publication));
}

static void matches_function_every_bar(void **state)
{
	struct identity other = some_bar;

	(void)state;
	assert_true(matches("0000:41:00.0", &some_bar));
	other.bar = 0;
	assert_true(matches("0000:41:00.0", &other));
	assert_false(matches("0000:41:00.1", &some_bar));
	assert_false(matches("0000:42:00.0", &some_bar));
	assert_false(matches("0001:41:00.0", &some_bar));
	assert_false(matches("0000:00:00.0", &some_publication));
}

static void matches_memory_of_a_driver(void **state)
{
	struct identity gpu = {.name = "0000:43:00.0/vram@5",
			       .backend = WIRE_BACKEND_DRM,
			       .address = {.bus = 0x43},
			       .bar = PCI_MEMORY_VRAM,
			       .generation = 5,
			       .pci_class = 0x030200};

	(void)state;
	assert_true(matches("0000:43:00.0/vram", &gpu));
	assert_true(matches("0000:43:00.0/vram@5", &gpu));
	assert_false(matches("0000:43:00.0/vram@6", &gpu));
	assert_false(matches("0000:43:00.0/p2pmem", &gpu));
	assert_false(matches("0000:43:00.0/0", &gpu));
	assert_true(matches("0000:43:00.0", &gpu));
	assert_true(matches("class:0302", &gpu));
	assert_true(matches("backend:drm", &gpu));
	assert_false(matches("backend:p2pmem", &gpu));
}

static void matches_bar_with_and_without_generation(void **state)
{
	(void)state;
	assert_true(matches("0000:41:00.0/2", &some_bar));
	assert_true(matches("0000:41:00.0/2@77", &some_bar));
	assert_false(matches("0000:41:00.0/2@78", &some_bar));
	assert_false(matches("0000:41:00.0/3", &some_bar));
	assert_false(matches("0000:41:00.1/2", &some_bar));
	assert_false(matches("0000:00:00.0/0", &some_publication));
}

static void matches_id_vendor_and_device(void **state)
{
	(void)state;
	assert_true(matches("10ee:903f", &some_bar));
	assert_true(matches("10EE:903F", &some_bar));
	assert_true(matches("10ee:*", &some_bar));
	assert_false(matches("10ee:9040", &some_bar));
	assert_false(matches("10ef:*", &some_bar));
	assert_false(matches("0000:0000", &some_publication));
	assert_false(matches("0000:*", &some_publication));
}

static void matches_class_by_its_bytes(void **state)
{
	(void)state;
	assert_true(matches("class:03", &some_bar));
	assert_true(matches("class:0302", &some_bar));
	assert_true(matches("class:030200", &some_bar));
	assert_false(matches("class:02", &some_bar));
	assert_false(matches("class:0300", &some_bar));
	assert_false(matches("class:030201", &some_bar));
	assert_false(matches("class:00", &some_publication));
}

static void matches_backend_published_too(void **state)
{
	(void)state;
	assert_true(matches("backend:export", &some_bar));
	assert_false(matches("backend:vfio", &some_bar));
	assert_false(matches("backend:published", &some_bar));
	assert_true(matches("backend:published", &some_publication));
}

static void matches_published_name_or_prefix(void **state)
{
	(void)state;
	assert_true(matches("published:frames-1", &some_publication));
	assert_true(matches("published:frames-*", &some_publication));
	assert_true(matches("published:frames-1*", &some_publication));
	assert_true(matches("published:*", &some_publication));
	assert_false(matches("published:frames-", &some_publication));
	assert_false(matches("published:frames-11", &some_publication));
	assert_false(matches("published:frames-11*", &some_publication));
	assert_false(matches("published:*", &some_bar));
	/* A provider of a function isn't reached by its name. */
	assert_false(matches("published:0000*", &some_bar));
}

static void is_stale_only_for_another_generation(void **state)
{
	static const struct {
		const char *text;
		bool is_stale;
	} cases[] = {
		{"0000:41:00.0/2@76", true},  {"0000:41:00.0/2@78", true},
		{"0000:41:00.0/2@77", false}, {"0000:41:00.0/2", false},
		{"0000:41:00.0", false},      {"0000:41:00.0/1@76", false},
		{"0000:41:00.1/2@76", false}, {"*", false},
		{"10ee:903f", false},
	};
	struct identity slot = {.is_published = true, .name = "x"};
	struct selector selector;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(selector_parse(cases[i].text, &selector), 0);
		assert_int_equal(selector_is_stale(&selector, &some_bar), cases[i].is_stale);
	}
	assert_int_equal(selector_parse("0000:00:00.0/0@1", &selector), 0);
	assert_false(selector_is_stale(&selector, &slot));
}

static void backend_names_round_trip(void **state)
{
	uint32_t backend;

	(void)state;
	for (uint32_t i = WIRE_BACKEND_EXPORT; i <= WIRE_BACKEND_PUBLISHED; i++) {
		assert_int_equal(backend_parse(backend_name(i), &backend), 0);
		assert_int_equal(backend, i);
	}
	assert_string_equal(backend_name(0), "unknown");
	assert_string_equal(backend_name(WIRE_BACKEND_PUBLISHED + 1), "unknown");
	assert_int_equal(backend_parse("", &backend), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_bad_einval),
		cmocka_unit_test(parse_published_name_length_limited),
		cmocka_unit_test(matches_all_everything),
		cmocka_unit_test(matches_function_every_bar),
		cmocka_unit_test(matches_memory_of_a_driver),
		cmocka_unit_test(matches_bar_with_and_without_generation),
		cmocka_unit_test(matches_id_vendor_and_device),
		cmocka_unit_test(matches_class_by_its_bytes),
		cmocka_unit_test(matches_backend_published_too),
		cmocka_unit_test(matches_published_name_or_prefix),
		cmocka_unit_test(is_stale_only_for_another_generation),
		cmocka_unit_test(backend_names_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
