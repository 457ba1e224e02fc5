// SPDX-License-Identifier: MIT
/* Names of functions and providers: exactly the grammar, nothing around it. */
#include <errno.h>
#include <string.h>

#include "common/pci.h"
#include "fake.h"

static void address_parse_usual_fields(void **state)
{
	struct pci_address address;

	(void)state;
	assert_int_equal(pci_address_parse("0000:41:1f.7", &address), 0);
	assert_int_equal(address.domain, 0);
	assert_int_equal(address.bus, 0x41);
	assert_int_equal(address.devfn, 0xff);
}

static void address_parse_long_domain_kept(void **state)
{
	struct pci_address address;
	char text[PCI_ADDRESS_SIZE];

	(void)state;
	assert_int_equal(pci_address_parse("10000:E1:00.0", &address), 0);
	assert_int_equal(address.domain, 0x10000);
	pci_address_format(&address, text);
	assert_string_equal(text, "10000:e1:00.0");
}

static void address_parse_bad_einval(void **state)
{
	static const char *const bad[] = {
		"",
		"0000",
		"0000:41",
		"0000:41:00",
		"0000:41:00.",
		"000:41:00.0",
		"0000:1:00.0",
		"0000:41:0.0",
		"0000:41:20.0",
		"0000:41:00.8",
		"0000:41:00.0 ",
		" 0000:41:00.0",
		"0000:41:00.0/",
		"0000:41:00.00",
		"000000000:41:00.0",
		"0000-41:00.0",
		"0000:4g:00.0",
		"0000:41:00.0\n",
	};
	struct pci_address address;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_address_parse(bad[i], &address), -EINVAL);
}

static void compare_orders_by_domain_bus_devfn(void **state)
{
	struct pci_address a = {0, 1, 0}, b = {0, 1, 1}, c = {0, 2, 0}, d = {1, 0, 0};

	(void)state;
	assert_true(pci_address_compare(&a, &b) < 0);
	assert_true(pci_address_compare(&c, &b) > 0);
	assert_true(pci_address_compare(&c, &d) < 0);
	assert_true(pci_address_compare(&d, &c) > 0);
	assert_int_equal(pci_address_compare(&d, &d), 0);
}

static void name_parse_with_generation_round_trips(void **state)
{
	static const char *const names[] = {"0000:41:00.0/2",
					    "0000:41:00.0/0@0",
					    "ffffffff:ff:1f.7/5@18446744073709551615",
					    "0000:43:00.0/vram",
					    "0000:43:00.0/vram@7",
					    "0000:42:00.0/p2pmem",
					    "ffffffff:ff:1f.7/p2pmem@18446744073709551615"};
	struct pci_provider_name name;
	char text[PCI_PROVIDER_NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(pci_provider_name_parse(names[i], &name), 0);
		assert_int_equal(name.has_generation, !!strchr(names[i], '@'));
		pci_provider_name_format(&name, text);
		assert_string_equal(text, names[i]);
	}
}

static void name_parse_memory_is_no_bar(void **state)
{
	struct pci_provider_name vram, p2pmem;

	(void)state;
	assert_int_equal(pci_provider_name_parse("0000:43:00.0/vram", &vram), 0);
	assert_int_equal(vram.bar, PCI_MEMORY_VRAM);
	assert_int_equal(pci_provider_name_parse("0000:43:00.0/p2pmem@3", &p2pmem), 0);
	assert_int_equal(p2pmem.bar, PCI_MEMORY_P2PMEM);
	assert_int_equal(p2pmem.generation, 3);
	assert_true(vram.bar >= PCI_NR_BARS && p2pmem.bar >= PCI_NR_BARS);
}

static void name_parse_bad_einval(void **state)
{
	static const char *const bad[] = {
		"",
		"0000:41:00.0",
		"0000:41:00.0/",
		"0000:41:00.0/6",
		"0000:41:00.0/-1",
		"0000:41:00.0/2@",
		"0000:41:00.0/2@x",
		"0000:41:00.0/2@1 ",
		"0000:41:00.0/2@18446744073709551616",
		"0000:41:00.0/2/",
		"0000:41:00.0/VRAM",
		"0000:41:00.0/vra",
		"0000:41:00.0/vram2",
		"0000:41:00.0/vram@",
		"0000:41:00.0/p2pmem ",
		"0000:41:00.0/16",
		"vram",
		"0000:41:00.0/99999999999999999999999",
	};
	struct pci_provider_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_provider_name_parse(bad[i], &name), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_parse_usual_fields),
		cmocka_unit_test(address_parse_long_domain_kept),
		cmocka_unit_test(address_parse_bad_einval),
		cmocka_unit_test(compare_orders_by_domain_bus_devfn),
		cmocka_unit_test(name_parse_with_generation_round_trips),
		cmocka_unit_test(name_parse_memory_is_no_bar),
		cmocka_unit_test(name_parse_bad_einval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
