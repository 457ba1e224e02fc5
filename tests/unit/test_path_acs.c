// SPDX-License-Identifier: MIT
/*
 * The kernel's command line as the kernel splits it (next_arg(), pci_setup()), and the parameter that is
 * to be added to it, to the letter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/path.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define FIRMWARE                                                                                   \
	", or switch ACS off in the firmware's PCIe settings (\"ACS Control\" or \"ACS "           \
	"Enable\"); "                                                                              \
	"devices below these ports then reach each other past the IOMMU"
#define GRUB " (in GRUB's files between single quotes, as \";\" ends a command there)"

static struct path_boot boot;
static char advice[1024];

static void parse_takes_what_the_kernel_takes(void **state)
{
	static const struct {
		const char *line;
		const char *list;
		bool has_config;
	} cases[] = {
		{"", "", false},
		{"\n", "", false},
		{"quiet\n", "", false},
		{"pci=disable_acs_redir=0000:01:00.0\n", "0000:01:00.0", false},
		{"a pci=disable_acs_redir=a;b quiet\n", "a;b", false},
		{"pci=nomsi,disable_acs_redir=a;b,noaer", "a;b", false},
		/* Options of several pci= add up, and the last of one kind wins. */
		{"pci=disable_acs_redir=a pci=realloc", "a", false},
		{"pci=disable_acs_redir=a pci=disable_acs_redir=b", "b", false},
		{"pci=disable_acs_redir=a,disable_acs_redir=b", "b", false},
		{"pci=disable_acs_redir=a pci=disable_acs_redir=", "", false},
		{"pci=config_acs=xx1@a", "", true},
		{"pci=config_acs=xx1@a,config_acs=", "", false},
		{"pci=disable_acs_redir=a,config_acs=1@b;0@c", "a", true},
		/* Quotes. */
		{"\"pci=disable_acs_redir=a;b\" quiet", "a;b", false},
		{"pci=\"disable_acs_redir=a;b\" quiet", "a;b", false},
		{"dyndbg=\"file x pci=disable_acs_redir=a\" quiet", "", false},
		/* What isn't it. */
		{"xpci=disable_acs_redir=a", "", false},
		{"pci.disable_acs_redir=a", "", false},
		{"pci", "", false},
		{"pci=", "", false},
		{"pci=,,disable_acs_redi", "", false},
		{"pci=disable_acs_redir", "", false},
		{"pci=disable_acs_redir=a -- pci=disable_acs_redir=b", "a", false},
		{"a=-- pci=disable_acs_redir=b", "b", false},
		{"\"", "", false},
		{"pci=\"", "", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		path_boot_parse(cases[i].line, &boot);
		assert_true(boot.is_known);
		if (strcmp(boot.list, cases[i].list) != 0 || boot.has_config != cases[i].has_config)
			fail_msg("\"%s\": \"%s\", %d", cases[i].line, boot.list, boot.has_config);
	}
}

static void query_without_a_file_is_unknown(void **state)
{
	(void)state;
	memset(&boot, 0xff, sizeof(boot));
	path_boot_query("/nonexistent", &boot);
	assert_false(boot.is_known);
	assert_string_equal(boot.list, "");
	path_boot_query("/", &boot);
	assert_true(boot.is_known);
}

static void advise(const char *line, const char *first, const char *second)
{
	const char *ports[] = {first, second};

	memset(&boot, 0, sizeof(boot));
	if (line)
		path_boot_parse(line, &boot);
	path_advise_acs(&boot, ports, second ? 2 : 1, advice, sizeof(advice));
}

static void advise_names_the_ports(void **state)
{
	(void)state;
	advise("quiet", "0000:17:00.0", NULL);
	assert_string_equal(advice, "boot with \"pci=disable_acs_redir=0000:17:00.0\"" FIRMWARE);
	advise("quiet", "0000:17:00.0", "0001:17:01.0");
	assert_string_equal(
		advice,
		"boot with \"pci=disable_acs_redir=0000:17:00.0;0001:17:01.0\"" GRUB FIRMWARE);
}

static void advise_keeps_what_is_there(void **state)
{
	(void)state;
	advise("pci=disable_acs_redir=0000:01:00.0;17:00.0;pci:8086:0;01:00.0/02.1", "0000:17:00.0",
	       "0000:17:01.0");
	assert_string_equal(advice, "boot with \"pci=disable_acs_redir=0000:17:00.0;0000:17:01.0;"
				    "0000:01:00.0;pci:8086:0;01:00.0/02.1\"" GRUB
				    " in place of the one that is there" FIRMWARE);
	/* The same function elsewhere isn't the same. */
	advise("pci=disable_acs_redir=0001:17:00.0", "0000:17:00.0", NULL);
	assert_non_null(strstr(advice, "redir=0000:17:00.0;0001:17:00.0\""));
	/* What the kernel can't parse would hide what follows; and it is printed. */
	advise("pci=disable_acs_redir=what?;;\x1b[2J;0000:01:00.0", "0000:17:00.0", NULL);
	assert_non_null(strstr(advice, "redir=0000:17:00.0;0000:01:00.0\""));
}

static void advise_knows_what_comes_after_it(void **state)
{
	(void)state;
	advise("pci=config_acs=1111111@pci:0:0", "0000:17:00.0", NULL);
	assert_string_equal(advice, "boot with \"pci=disable_acs_redir=0000:17:00.0\", and take "
				    "these ports out of config_acs=, which wins" FIRMWARE);
}

static void advise_what_is_there_isnt_repeated(void **state)
{
	(void)state;
	advise("pci=disable_acs_redir=17:00.0;0000:17:01.0", "0000:17:00.0", "0000:17:01.0");
	assert_null(strstr(advice, "boot with"));
	assert_non_null(strstr(advice, "has these ports already, didn't help"));
	advise("pci=disable_acs_redir=17:00.0,config_acs=1@17:00.0", "0000:17:00.0", NULL);
	assert_null(strstr(advice, "boot with"));
	assert_non_null(strstr(advice, "take these ports out of config_acs="));
	/* One of two isn't there. */
	advise("pci=disable_acs_redir=17:00.0", "0000:17:00.0", "0000:17:01.0");
	assert_non_null(
		strstr(advice, "boot with \"pci=disable_acs_redir=0000:17:00.0;0000:17:01.0\""));
}

static void advise_without_a_command_line(void **state)
{
	(void)state;
	advise(NULL, "0000:17:00.0", NULL);
	assert_string_equal(advice, "boot with \"pci=disable_acs_redir=0000:17:00.0\" and what it "
				    "has already, as /proc/cmdline can't be read" FIRMWARE);
}

/* Whole or not at all, and the rest of the sentence with it. */
static void advise_more_than_fits_names_none(void **state)
{
	char names[64][PCI_ADDRESS_SIZE],
		line[PATH_BOOT_SIZE] = "pci=disable_acs_redir=0000:01:00.0";
	const char *ports[64], *from, *to;
	size_t nr_named;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
		snprintf(names[i], sizeof(names[i]), "0000:%02x:00.0", i + 2);
		ports[i] = names[i];
	}
	strcat(line, ",config_acs=1@01:00.0");
	path_boot_parse(line, &boot);
	for (size_t n = 1; n <= ARRAY_SIZE(ports); n++) {
		path_advise_acs(&boot, ports, n, advice, sizeof(advice));
		assert_non_null(strstr(advice, "past the IOMMU"));
		from = strchr(advice, '"');
		to = strchr(from + 1, '"');
		nr_named = 0;
		for (const char *c = from; c < to; c++)
			nr_named += *c == '.';
		assert_true(nr_named == n + 1 || strstr(advice, "redir= and the redirecting hops"));
		if (n == 32)
			assert_int_equal(nr_named, n + 1);
	}
	assert_null(strstr(advice, "0000:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_takes_what_the_kernel_takes),
		cmocka_unit_test(query_without_a_file_is_unknown),
		cmocka_unit_test(advise_names_the_ports),
		cmocka_unit_test(advise_keeps_what_is_there),
		cmocka_unit_test(advise_knows_what_comes_after_it),
		cmocka_unit_test(advise_what_is_there_isnt_repeated),
		cmocka_unit_test(advise_without_a_command_line),
		cmocka_unit_test(advise_more_than_fits_names_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
