// SPDX-License-Identifier: MIT
/*
 * Paths against expectations derived by hand from the kernel's rules: each case is a machine, two
 * of its functions, and what drivers/pci/p2pdma.c comes to for them. Here they are below a switch,
 * which may be told to send everything upwards (ACS).
 */
#include "path_case.h"

static void switch_bus_addr(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	query("0000:04:00.0", "0000:05:00.0", PATH_NO);
	assert_path(BUS_ADDR, COMMON_PORT, 4);
	assert_string_equal(tree.nodes[path.common].name, "0000:02:00.0");
	assert_int_equal(path.nr_hops, 5);
	assert_string_equal(tree.nodes[path.hops[2]].name, "0000:02:00.0");
	assert_string_equal(advice, "");
	/* 16 GT/s x16 on the importer's side; the switch's own x8 isn't on the way. */
	assert_int_equal(path.link.generation, 4);
	assert_int_equal(path.link.width, 16);
	assert_int_equal(path.bytes_per_second / 1000000, 31507);
}

static void switch_acs_zen_thru(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	fake_acs_set("0000:03:00.0", 0x001d);
	query("0000:04:00.0", "0000:05:00.0", PATH_YES);
	assert_path(THRU_HOST_BRIDGE, ACS, 4);
	assert_says(why, "ACS at 0000:03:00.0 redirects");
	assert_says(advice, "\"pci=disable_acs_redir=0000:03:00.0\"");
	/* Up through the switch and its x8 link, and down again. */
	assert_int_equal(path.nr_hops, 9);
	assert_string_equal(tree.nodes[path.hops[4]].name, "pci0000:00");
	assert_int_equal(path.link.generation, 5);
	assert_int_equal(path.link.width, 8);
	assert_int_equal(path.bytes_per_second / 1000000, 31507);
}

static void switch_acs_unlisted_not_supported(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	fake_acs_set("0000:03:00.0", 0x0004);
	fake_acs_set("0000:03:01.0", 0x0008);
	query("0000:04:00.0", "0000:05:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, ACS_BLOCKED, -1);
	assert_says(why, "0000:03:00.0, 0000:03:01.0");
	assert_says(advice, "\"pci=disable_acs_redir=0000:03:00.0;0000:03:01.0\"");
	assert_says(advice, "firmware");
}

/* Which of the bits redirect, and on which functions. */
static void switch_acs_bits_and_places(void **state)
{
	static const struct {
		const char *address;
		uint16_t control;
		bool redirects;
	} cases[] = {
		{"0000:03:00.0", 0x0001, false}, {"0000:03:00.0", 0x0002, false},
		{"0000:03:00.0", 0x0004, true},	 {"0000:03:00.0", 0x0008, true},
		{"0000:03:00.0", 0x0010, false}, {"0000:03:00.0", 0x0020, true},
		{"0000:03:00.0", 0x0040, false}, {"0000:03:01.0", 0x0020, true},
		{"0000:02:00.0", 0x0004, true},	 {"0000:04:00.0", 0x0004, true},
		{"0000:00:01.0", 0x001d, false},
	};

	(void)state;
	add_switch(LISTED);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_acs_set(cases[i].address, cases[i].control);
		query("0000:04:00.0", "0000:05:00.0", PATH_NO);
		if (cases[i].redirects)
			assert_path(THRU_HOST_BRIDGE, ACS, 4);
		else
			assert_path(BUS_ADDR, COMMON_PORT, 4);
		/* The way back passes the same functions. */
		query("0000:05:00.0", "0000:04:00.0", PATH_NO);
		assert_int_equal(path.map == PATH_MAP_THRU_HOST_BRIDGE, cases[i].redirects);
		fake_acs_set(cases[i].address, 0);
	}
}

static void switch_hidden_acs_unknown(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	fake_pci_add(&(struct fake_pci){.address = "0000:03:01.0",
					.above = "0000:02:00.0",
					.type = PCI_CONFIG_DOWNSTREAM_PORT,
					.has_acs = true,
					.is_hidden = true,
					.link_generation = 3});
	query("0000:04:00.0", "0000:05:00.0", PATH_NO);
	assert_path(UNKNOWN, ACS_UNKNOWN, 4);
	assert_int_equal(path.is_possible, PATH_MAYBE);
	assert_says(why, "ACS redirects at 0000:03:01.0 is only shown");
	assert_says(advice, "as root");
	/* What is shown to everybody is known nevertheless. */
	assert_int_equal(path.link.generation, 3);
	query("0000:04:00.0", "0000:05:00.0", PATH_YES);
	assert_path(UNKNOWN, ACS_UNKNOWN, 4);
	assert_int_equal(path.is_possible, PATH_YES);
	assert_says(why, "works either way");
	/* One port that redirects is enough. */
	fake_acs_set("0000:03:00.0", 0x0004);
	query("0000:04:00.0", "0000:05:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, ACS_BLOCKED, -1);
	query("0000:04:00.0", "0000:05:00.0", PATH_YES);
	assert_path(THRU_HOST_BRIDGE, ACS, 4);
}

static void hidden_root_ports_are_certain(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", UNLISTED);
	for (unsigned int k = 1; k <= 2; k++) {
		char port[16], leaf[16];

		snprintf(port, sizeof(port), "0000:00:%02x.0", k);
		snprintf(leaf, sizeof(leaf), "0000:%02x:00.0", 0x10 + k);
		fake_pci_add(&(struct fake_pci){.address = port,
						.above = "pci0000:00",
						.type = PCI_CONFIG_ROOT_PORT,
						.is_hidden = true});
		fake_pci_add(&(struct fake_pci){.address = leaf, .above = port, .is_hidden = true});
	}
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	query("0000:11:00.0", "0000:12:00.0", PATH_YES);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	assert_int_equal(tree.nodes[path.hops[1]].kind, PCI_KIND_ROOT_PORT);
}

static void nested_switch_counts_steps(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	fake_pci_add(&(struct fake_pci){.address = "0000:03:02.0",
					.above = "0000:02:00.0",
					.type = PCI_CONFIG_DOWNSTREAM_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:06:00.0",
					.above = "0000:03:02.0",
					.type = PCI_CONFIG_UPSTREAM_PORT,
					.link_width = 4});
	fake_pci_add(&(struct fake_pci){.address = "0000:07:00.0",
					.above = "0000:06:00.0",
					.type = PCI_CONFIG_DOWNSTREAM_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:08:00.0", .above = "0000:07:00.0"});
	query("0000:04:00.0", "0000:08:00.0", PATH_NO);
	assert_path(BUS_ADDR, COMMON_PORT, 6);
	assert_string_equal(tree.nodes[path.narrowest].name, "0000:06:00.0");
	assert_int_equal(path.bytes_per_second / 1000000, 15753);
	query("0000:08:00.0", "0000:04:00.0", PATH_NO);
	assert_path(BUS_ADDR, COMMON_PORT, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(switch_bus_addr),
		CASE(switch_acs_zen_thru),
		CASE(switch_acs_unlisted_not_supported),
		CASE(switch_acs_bits_and_places),
		CASE(switch_hidden_acs_unknown),
		CASE(hidden_root_ports_are_certain),
		CASE(nested_switch_counts_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
