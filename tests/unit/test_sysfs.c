// SPDX-License-Identifier: MIT
/* Reading sysfs: lines, numbers, links, and files that aren't what they should be. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/pci.h"
#include "common/sysfs.h"
#include "fake.h"

static int root(void)
{
	return open(fake.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void parse_line_strips_newline(void **state)
{
	char line[8];

	(void)state;
	assert_int_equal(sysfs_parse_line("abc\n", 4, line, sizeof(line)), 0);
	assert_string_equal(line, "abc");
	assert_int_equal(sysfs_parse_line("", 0, line, sizeof(line)), 0);
	assert_string_equal(line, "");
}

static void parse_line_bad_eio(void **state)
{
	char line[8];

	(void)state;
	assert_int_equal(sysfs_parse_line("a\nb", 3, line, sizeof(line)), -EIO);
	assert_int_equal(sysfs_parse_line("a\0b", 3, line, sizeof(line)), -EIO);
	assert_int_equal(sysfs_parse_line("a\x7f", 2, line, sizeof(line)), -EIO);
	assert_int_equal(sysfs_parse_line("12345678", 8, line, sizeof(line)), -EIO);
}

static void parse_numbers_bounds(void **state)
{
	uint64_t value;
	int32_t number;

	(void)state;
	assert_int_equal(sysfs_parse_u64("0x1af4", &value), 0);
	assert_int_equal(value, 0x1af4);
	assert_int_equal(sysfs_parse_u64("18446744073709551615", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(sysfs_parse_u64("18446744073709551616", &value), -EIO);
	assert_int_equal(sysfs_parse_u64("-1", &value), -EIO);
	assert_int_equal(sysfs_parse_u64(" 1", &value), -EIO);
	assert_int_equal(sysfs_parse_u64("1x", &value), -EIO);
	assert_int_equal(sysfs_parse_u64("", &value), -EIO);
	assert_int_equal(sysfs_parse_s32("-1", &number), 0);
	assert_int_equal(number, -1);
	assert_int_equal(sysfs_parse_s32("2147483648", &number), -EIO);
	assert_int_equal(sysfs_parse_s32("--1", &number), -EIO);
}

static void read_missing_enodev(void **state)
{
	uint64_t value;
	char name[16];
	int fd = root();

	(void)state;
	assert_int_equal(sysfs_read_u64(fd, "nothing", &value), -ENODEV);
	assert_int_equal(sysfs_read_link_name(fd, "nothing", name, sizeof(name)), -ENODEV);
	assert_int_equal(sysfs_open_dir(fd, "nothing", &fd), -ENODEV);
	close(fd);
}

static void read_link_name_too_long_eio(void **state)
{
	char name[8];
	int fd = root();

	(void)state;
	fake_link("../../a-long-driver-name", "link");
	assert_int_equal(sysfs_read_link_name(fd, "link", name, sizeof(name)), -EIO);
	fake_link("short", "link");
	assert_int_equal(sysfs_read_link_name(fd, "link", name, sizeof(name)), 0);
	assert_string_equal(name, "short");
	close(fd);
}

#define LINE_0 "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
#define LINE_M "0x0000004000000000 0x00000040000fffff 0x000000000014220c\n"

static void parse_resource_flags_and_sizes(void **state)
{
	static const char text[] = LINE_0 LINE_0 LINE_M LINE_0
		"0x000000000000c000 0x000000000000c0ff 0x0000000000040101\n"
		"0x0000000000001000 0x0000000000001fff 0x0000000000040200\n" LINE_0;
	struct pci_bar bars[PCI_NR_BARS];

	(void)state;
	assert_int_equal(pci_parse_resource(text, strlen(text), bars), 0);
	assert_int_equal(bars[0].size_bytes, 0);
	assert_int_equal(bars[2].size_bytes, MIB);
	assert_true(bars[2].is_memory && bars[2].is_64bit && bars[2].is_prefetchable);
	assert_false(bars[4].is_memory);
	assert_true(bars[5].is_memory && !bars[5].is_64bit && !bars[5].is_prefetchable);
}

static void parse_resource_bad_eio(void **state)
{
	static const char *const bad[] = {
		"",
		LINE_0,
		LINE_0 LINE_0 LINE_0 LINE_0 LINE_0 "0x0 0x0",
		LINE_0 LINE_0 LINE_0 LINE_0 LINE_0 "0x0 0x0 0x0 0x0\n",
		LINE_0 LINE_0 LINE_0 LINE_0 LINE_0 "0x2 0x1 0x200\n",
		LINE_0 LINE_0 LINE_0 LINE_0 LINE_0 "0x0 0xffffffffffffffff 0x200\n",
		LINE_0 LINE_0 LINE_0 LINE_0 LINE_0 "a b c\n",
	};
	struct pci_bar bars[PCI_NR_BARS];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_parse_resource(bad[i], strlen(bad[i]), bars), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_line_strips_newline),
		cmocka_unit_test(parse_line_bad_eio),
		cmocka_unit_test(parse_numbers_bounds),
		cmocka_unit_test_setup_teardown(read_missing_enodev, fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(read_link_name_too_long_eio, fake_setup,
						fake_teardown),
		cmocka_unit_test(parse_resource_flags_and_sizes),
		cmocka_unit_test(parse_resource_bad_eio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
