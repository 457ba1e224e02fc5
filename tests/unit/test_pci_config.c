// SPDX-License-Identifier: MIT
/* Configuration space: what is there, what can't be seen, and what makes no sense. */
#include <errno.h>
#include <string.h>

#include "fake.h"
#include "common/pci_config.h"

/* A space of @size_bytes of which the first @readable can be read. */
struct space {
	uint8_t bytes[4096];
	uint32_t readable;
	unsigned int nr_reads;
};

static bool read_space(void *data, uint32_t offset, void *ret_bytes, size_t size)
{
	struct space *space = data;

	space->nr_reads++;
	assert_true(offset + size <= sizeof(space->bytes));
	if (offset + size > space->readable)
		return false;
	memcpy(ret_bytes, space->bytes + offset, size);
	return true;
}

static int parse(struct space *space, uint32_t size_bytes, struct pci_config *ret_config)
{
	struct pci_config_source source = {read_space, space, size_bytes};

	return pci_config_parse(&source, ret_config);
}

static void put(struct space *space, size_t at, size_t size, uint32_t value)
{
	for (size_t i = 0; i < size; i++)
		space->bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/* A root port at 16 GT/s x8 that could do 32 GT/s x16; ACS redirects requests. */
static void fill(struct space *space)
{
	memset(space, 0, sizeof(*space));
	space->readable = sizeof(space->bytes);
	put(space, 0x00, 4, 0x09a28086);
	put(space, 0x06, 2, 0x0010);
	put(space, 0x08, 4, 0x06040003);
	put(space, 0x34, 1, 0x48);
	put(space, 0x48, 2, 0x8005);
	put(space, 0x80, 2, 0x0010);
	put(space, 0x82, 2, 0x0042);
	put(space, 0x8c, 4, 0x00000105);
	put(space, 0x92, 2, 0x0084);
	put(space, 0x100, 4, 0x20010001);
	put(space, 0x200, 4, 0x0001000d);
	put(space, 0x204, 2, 0x005f);
	put(space, 0x206, 2, 0x001d);
}

static void parse_port_tells_all(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_int_equal(config.vendor_id, 0x8086);
	assert_int_equal(config.device_id, 0x09a2);
	assert_int_equal(config.class_code, 0x060400);
	assert_true(config.is_pcie_known && config.is_pcie);
	assert_int_equal(config.pcie_type, PCI_CONFIG_ROOT_PORT);
	assert_int_equal(config.link.generation, 4);
	assert_int_equal(config.link.width, 8);
	assert_int_equal(config.max_link.generation, 5);
	assert_int_equal(config.max_link.width, 16);
	assert_true(config.is_acs_known && config.has_acs);
	assert_int_equal(config.acs_capability, 0x5f);
	assert_int_equal(config.acs_control, 0x1d);
	/* Single registers, not the whole space: hardware answers slowly. */
	assert_in_range(space.nr_reads, 1, 12);
}

static void parse_unprivileged_says_unknown(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	space.readable = 64;
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_int_equal(config.vendor_id, 0x8086);
	assert_false(config.is_pcie_known);
	assert_false(config.is_acs_known);
	assert_false(config.has_acs);
}

static void parse_short_space_has_no_acs(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	space.readable = 64;
	assert_int_equal(parse(&space, 256, &config), 0);
	assert_true(config.is_acs_known);
	assert_false(config.has_acs);
}

static void parse_no_capabilities_is_known(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	put(&space, 0x06, 2, 0);
	space.readable = 64;
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_true(config.is_pcie_known);
	assert_false(config.is_pcie);
}

static void parse_header_unreadable_eio(void **state)
{
	struct pci_config config = {.vendor_id = 7};
	struct space space;

	(void)state;
	fill(&space);
	space.readable = 63;
	assert_int_equal(parse(&space, 4096, &config), -EIO);
	assert_int_equal(config.vendor_id, 7);
}

static void parse_circles_end(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	put(&space, 0x48, 2, 0x4805);
	put(&space, 0x100, 4, 0x10010001);
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_true(config.is_pcie_known && config.is_acs_known);
	assert_false(config.is_pcie);
	assert_false(config.has_acs);
	assert_in_range(space.nr_reads, 1, 600);
}

static void parse_gone_device_has_nothing(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	memset(&space, 0xff, sizeof(space));
	space.readable = sizeof(space.bytes);
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_false(config.is_pcie);
	assert_false(config.has_acs);
}

static void parse_end_of_list_below_header_ends(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	put(&space, 0x34, 1, 0x20);
	put(&space, 0x100, 4, 0x0f010001);
	put(&space, 0x0f0, 4, 0x0001000d);
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_false(config.is_pcie);
	assert_false(config.has_acs);
}

/* Nobody asks for what would lie behind the end of the space. */
static void parse_capability_at_the_end_is_unknown(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	put(&space, 0x100, 4, 0xffc10001);
	put(&space, 0xffc, 4, 0x0001000d);
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_true(config.is_pcie_known);
	assert_false(config.is_acs_known);
	assert_int_equal(config.acs_control, 0);
}

static void parse_link_down_has_none(void **state)
{
	struct pci_config config;
	struct space space;

	(void)state;
	fill(&space);
	put(&space, 0x92, 2, 0x0004);
	assert_int_equal(parse(&space, 4096, &config), 0);
	assert_int_equal(config.link.generation, 0);
	assert_int_equal(config.link.width, 0);
	assert_int_equal(config.max_link.width, 16);
}

static void rate_by_generation_and_width(void **state)
{
	(void)state;
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){1, 1}), 250000000);
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){2, 4}), 2000000000);
	/* 8 GT/s: 128 of 130 bits; 16 lanes carry 15.75 GB/s. */
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){3, 16}) / 1000000, 15753);
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){4, 16}) / 1000000, 31507);
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){5, 16}) / 1000000, 63015);
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){6, 16}) / 1000000, 121000);
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){0, 0}), 0);
	assert_int_equal(pci_link_bytes_per_second((struct pci_link){15, 16}), 0);
}

static void speed_of_every_generation(void **state)
{
	(void)state;
	assert_int_equal(pci_link_parse_speed("2.5 GT/s PCIe"), 1);
	assert_int_equal(pci_link_parse_speed("5.0 GT/s PCIe"), 2);
	assert_int_equal(pci_link_parse_speed("5 GT/s"), 2);
	assert_int_equal(pci_link_parse_speed("8.0 GT/s PCIe"), 3);
	assert_int_equal(pci_link_parse_speed("16.0 GT/s PCIe"), 4);
	assert_int_equal(pci_link_parse_speed("32.0 GT/s PCIe"), 5);
	assert_int_equal(pci_link_parse_speed("64.0 GT/s PCIe"), 6);
	assert_int_equal(pci_link_parse_speed("128.0 GT/s PCIe"), 7);
	assert_int_equal(pci_link_parse_speed("Unknown"), 0);
	assert_int_equal(pci_link_parse_speed(""), 0);
	assert_int_equal(pci_link_parse_speed("7.0 GT/s PCIe"), 0);
}

static int parse_extra(struct space *space, uint32_t size_bytes, struct pci_extra *ret_extra)
{
	struct pci_config_source source = {read_space, space, size_bytes};

	return pci_config_parse_extra(&source, ret_extra);
}

/* Resizable BARs 1 (256 MiB of up to 32 GiB) and 4 (1 MiB of up to 256 TiB). */
static void fill_resizable(struct space *space)
{
	fill(space);
	put(space, 0x88, 2, 0x2810);
	put(space, 0x200, 4, 0x3001000d);
	put(space, 0x300, 4, 0x00010015);
	put(space, 0x304, 4, 0x000ff000);
	put(space, 0x308, 4, 0x00000841);
	put(space, 0x30c, 4, 0x00000010);
	put(space, 0x310, 4, 0x00010004);
}

static void extra_tells_all(void **state)
{
	struct pci_extra extra;
	struct space space;

	(void)state;
	fill_resizable(&space);
	assert_int_equal(parse_extra(&space, 4096, &extra), 0);
	assert_true(extra.is_relaxed_known && extra.is_relaxed);
	assert_true(extra.is_resizable_known);
	assert_true(extra.bars[1].size_bytes == 256 * MIB);
	assert_true(pci_resizable_largest(&extra.bars[1]) == 32768 * MIB);
	assert_true(extra.bars[1].sizes == 0xff00);
	assert_true(extra.bars[4].size_bytes == MIB);
	assert_true(pci_resizable_largest(&extra.bars[4]) == MIB << 28);
	assert_true(pci_resizable_largest(&extra.bars[0]) == 0);
	put(&space, 0x88, 2, 0x2800);
	assert_int_equal(parse_extra(&space, 4096, &extra), 0);
	assert_true(extra.is_relaxed_known && !extra.is_relaxed);
}

static void extra_hidden_is_unknown(void **state)
{
	struct pci_extra extra;
	struct space space;

	(void)state;
	fill_resizable(&space);
	space.readable = 64;
	assert_int_equal(parse_extra(&space, 4096, &extra), 0);
	assert_false(extra.is_relaxed_known);
	assert_false(extra.is_resizable_known);
	/* A space that ends there has no such capability. */
	space.readable = 256;
	assert_int_equal(parse_extra(&space, 256, &extra), 0);
	assert_true(extra.is_relaxed_known && extra.is_resizable_known);
	assert_true(!extra.bars[1].sizes);
	space.readable = 32;
	assert_int_equal(parse_extra(&space, 4096, &extra), -EIO);
}

static void extra_nonsense_is_not_there(void **state)
{
	struct pci_extra extra;
	struct space space;

	(void)state;
	/* BAR 7, and a size that no address has. */
	fill_resizable(&space);
	put(&space, 0x308, 4, 0x00003f47);
	assert_int_equal(parse_extra(&space, 4096, &extra), 0);
	assert_true(extra.is_resizable_known);
	for (unsigned int bar = 0; bar < PCI_CONFIG_NR_BARS; bar++)
		assert_true(bar == 4 || !extra.bars[bar].sizes);
	put(&space, 0x308, 4, 0x00003f41);
	assert_int_equal(parse_extra(&space, 4096, &extra), 0);
	assert_true(!extra.bars[1].sizes);
	/* At the end of the space, with seven BARs. */
	put(&space, 0x200, 4, 0xff81000d);
	put(&space, 0xff8, 4, 0x00010015);
	assert_int_equal(parse_extra(&space, 4096, &extra), 0);
	assert_true(extra.is_resizable_known && !extra.bars[4].sizes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_port_tells_all),
		cmocka_unit_test(parse_unprivileged_says_unknown),
		cmocka_unit_test(parse_short_space_has_no_acs),
		cmocka_unit_test(parse_no_capabilities_is_known),
		cmocka_unit_test(parse_header_unreadable_eio),
		cmocka_unit_test(parse_circles_end),
		cmocka_unit_test(parse_gone_device_has_nothing),
		cmocka_unit_test(parse_end_of_list_below_header_ends),
		cmocka_unit_test(parse_capability_at_the_end_is_unknown),
		cmocka_unit_test(parse_link_down_has_none),
		cmocka_unit_test(rate_by_generation_and_width),
		cmocka_unit_test(speed_of_every_generation),
		cmocka_unit_test(extra_tells_all),
		cmocka_unit_test(extra_hidden_is_unknown),
		cmocka_unit_test(extra_nonsense_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
