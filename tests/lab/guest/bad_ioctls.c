/* SPDX-License-Identifier: MIT */
/*
 * bad_ioctls NODE BAR BAD-BAR: what EXPORT must refuse, field by field, and the
 * rules for the size of every argument.
 *
 * Each case changes one thing of a good call and demands one errno. Afterwards the
 * function has exactly the exports it had before, and no descriptor appeared.
 * BAR is one of at least 4 MiB that can be exported, BAD-BAR one that can't.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "bad.h"

#define BAD_POINTER ((void *)16)

/* The rules for every argument: too small, a tail that is zero, one that isn't, no memory. */
static void test_sizes(unsigned long request, const void *good, uint32_t size, const char *what,
		       int good_answer)
{
	union {
		uint32_t argsz;
		uint8_t bytes[8192];
	} arg = {0};
	char name[80];

	memcpy(&arg, good, size);
	arg.argsz = size - 8;
	snprintf(name, sizeof(name), "%s_argsz_too_small_einval", what);
	wants(-EINVAL, call(lab.fd, request, &arg), name);
	arg.argsz = 0;
	snprintf(name, sizeof(name), "%s_argsz_zero_einval", what);
	wants(-EINVAL, call(lab.fd, request, &arg), name);
	arg.argsz = size + 8;
	snprintf(name, sizeof(name), "%s_unknown_zero_tail_is_accepted", what);
	wants(good_answer, call(lab.fd, request, &arg), name);
	memcpy(&arg, good, size);
	arg.argsz = size + 8;
	arg.bytes[size + 7] = 1;
	snprintf(name, sizeof(name), "%s_unknown_tail_e2big", what);
	wants(-E2BIG, call(lab.fd, request, &arg), name);
	arg.argsz = UINT32_MAX;
	snprintf(name, sizeof(name), "%s_argsz_huge_e2big", what);
	wants(-E2BIG, call(lab.fd, request, &arg), name);
	snprintf(name, sizeof(name), "%s_bad_pointer_efault", what);
	wants(-EFAULT, call(lab.fd, request, BAD_POINTER), name);
	snprintf(name, sizeof(name), "%s_null_efault", what);
	wants(-EFAULT, call(lab.fd, request, NULL), name);
}

/* An argument whose first page is mapped and whose tail isn't. */
static void test_torn(unsigned long request, const void *good, uint32_t size, const char *what)
{
	uint8_t *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char name[80];

	if (pages == MAP_FAILED)
		die(-errno, "mmap");
	munmap(pages + PAGE, PAGE);
	memcpy(pages + PAGE - size + 4, good, size - 4);
	snprintf(name, sizeof(name), "%s_half_mapped_efault", what);
	wants(-EFAULT, call(lab.fd, request, pages + PAGE - size + 4), name);
	munmap(pages, PAGE);
}

static int try_ranges(const struct p2pdma_export_range *ranges, uint32_t nr)
{
	struct p2pdma_export_export arg = good_export();

	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = nr;
	return try_export(arg);
}

static int try_range(uint64_t offset, uint64_t length)
{
	struct p2pdma_export_range range = {offset, length};

	return try_ranges(&range, 1);
}

static void test_export_fields(uint32_t bad_bar)
{
	wants(0, try_export(good_export()), "export_good_call_succeeds");
	wants(-EINVAL, EXPORT_WITH(flags, 1U << 31), "export_unknown_flag_einval");
	wants(-EINVAL, EXPORT_WITH(bar, P2PDMA_EXPORT_MAX_BARS), "export_bar_six_einval");
	wants(-EINVAL, EXPORT_WITH(bar, UINT32_MAX), "export_bar_huge_einval");
	wants(-EINVAL, EXPORT_WITH(bar, bad_bar), "export_bar_not_exportable_einval");
	wants(-EINVAL, EXPORT_WITH(nr_ranges, 0), "export_no_ranges_einval");
	wants(-EINVAL, EXPORT_WITH(nr_ranges, P2PDMA_EXPORT_MAX_RANGES + 1),
	      "export_too_many_ranges_einval");
	wants(-EINVAL, EXPORT_WITH(nr_ranges, UINT32_MAX), "export_nr_ranges_huge_einval");
	wants(-EFAULT, EXPORT_WITH(ranges, 0), "export_ranges_null_efault");
	wants(-EFAULT, EXPORT_WITH(ranges, 0xffff800000000000ULL), "export_ranges_kernel_efault");
	wants(-EINVAL, EXPORT_WITH(open_flags, O_WRONLY), "export_write_only_einval");
	wants(-EINVAL, EXPORT_WITH(open_flags, O_ACCMODE), "export_access_mode_three_einval");
	wants(-EINVAL, EXPORT_WITH(open_flags, O_RDWR | O_APPEND), "export_open_flag_einval");
	wants(-EINVAL, EXPORT_WITH(open_flags, O_RDWR | O_CREAT), "export_o_creat_einval");
	wants(-EINVAL, EXPORT_WITH(open_flags, 1U << 31), "export_open_flag_high_bit_einval");
	wants(-EINVAL, EXPORT_WITH(reserved, 1), "export_reserved_einval");
}

static void test_export_ranges(void)
{
	const uint64_t end = lab.bar_bytes;
	struct p2pdma_export_range two[2] = {{0, PAGE}, {PAGE, PAGE}};
	struct p2pdma_export_range many[P2PDMA_EXPORT_MAX_RANGES];
	uint32_t i;

	wants(-EINVAL, try_range(1, PAGE), "range_offset_unaligned_einval");
	wants(-EINVAL, try_range(0, PAGE - 1), "range_length_unaligned_einval");
	wants(-EINVAL, try_range(2048, 2048), "range_half_page_einval");
	wants(-EINVAL, try_range(0, 0), "range_empty_einval");
	wants(-EINVAL, try_range(end, PAGE), "range_at_the_end_einval");
	wants(-EINVAL, try_range(end - PAGE, 2 * PAGE), "range_past_the_end_einval");
	wants(-EINVAL, try_range(0, end + PAGE), "range_longer_than_the_bar_einval");
	wants(-EINVAL, try_range(~(PAGE - 1), 2 * PAGE), "range_overflowing_einval");
	wants(-EINVAL, try_range(PAGE, ~(PAGE - 1)), "range_length_overflowing_einval");
	wants(-EINVAL, try_range(1ULL << 63, 1ULL << 63), "range_wrapping_to_zero_einval");
	wants(0, try_range(end - PAGE, PAGE), "range_last_page_succeeds");
	wants(0, try_range(0, end), "range_whole_bar_succeeds");
	wants(0, try_ranges(two, 2), "ranges_adjacent_succeed");
	two[1].offset = 0;
	wants(-EINVAL, try_ranges(two, 2), "ranges_identical_einval");
	two[0].length = 2 * PAGE;
	two[1] = (struct p2pdma_export_range){PAGE, PAGE};
	wants(-EINVAL, try_ranges(two, 2), "ranges_overlapping_einval");
	two[0] = (struct p2pdma_export_range){4 * PAGE, 4 * PAGE};
	two[1] = (struct p2pdma_export_range){2 * PAGE, 3 * PAGE};
	wants(-EINVAL, try_ranges(two, 2), "ranges_overlapping_backwards_einval");
	two[1] = (struct p2pdma_export_range){end, PAGE};
	wants(-EINVAL, try_ranges(two, 2), "ranges_second_one_bad_einval");
	/* Every second page from the back: unsorted, none touches another. */
	for (i = 0; i < P2PDMA_EXPORT_MAX_RANGES; i++)
		many[i] = (struct p2pdma_export_range){(2 * (511 - i)) * PAGE % end, PAGE};
	wants(0, try_ranges(many, end >= 4 << 20 ? P2PDMA_EXPORT_MAX_RANGES : 64),
	      "ranges_as_many_as_allowed_succeed");
	many[P2PDMA_EXPORT_MAX_RANGES - 1] = many[0];
	wants(-EINVAL, try_ranges(many, P2PDMA_EXPORT_MAX_RANGES),
	      "ranges_last_repeats_first_einval");
}

static void test_export_limits(void)
{
	struct p2pdma_export_export arg = good_export();
	struct p2pdma_export_info before = info();
	struct rlimit old, tight;
	int filler;

	test_torn(P2PDMA_EXPORT_EXPORT, &arg, sizeof(arg), "export");
	getrlimit(RLIMIT_NOFILE, &old);
	filler = dup(lab.fd);
	tight = (struct rlimit){(rlim_t)filler + 1, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &tight);
	wants(-EMFILE, try_export(arg), "export_without_a_free_fd_emfile");
	setrlimit(RLIMIT_NOFILE, &old);
	close(filler);
	wants(before.nr_exports, info().nr_exports, "export_emfile_leaves_no_export");
}

static void test_all_sizes(void)
{
	struct p2pdma_export_info about = {.argsz = sizeof(about)};
	struct p2pdma_export_export export = good_export();
	struct p2pdma_export_revoke all = {.argsz = sizeof(all), .flags = P2PDMA_EXPORT_REVOKE_ALL};
	struct p2pdma_export_status status = {.argsz = sizeof(status), .export_id = 9999};
	struct p2pdma_export_path path = {.argsz = sizeof(path)};
	struct p2pdma_export_eventfd events = {.argsz = sizeof(events), .fd = -1};

	test_sizes(P2PDMA_EXPORT_INFO, &about, sizeof(about), "info", 0);
	test_sizes(P2PDMA_EXPORT_REVOKE, &all, sizeof(all), "revoke", 0);
	test_sizes(P2PDMA_EXPORT_STATUS, &status, sizeof(status), "status", -ENOENT);
	test_sizes(P2PDMA_EXPORT_PATH, &path, sizeof(path), "path", 0);
	test_sizes(P2PDMA_EXPORT_SET_EVENTFD, &events, sizeof(events), "eventfd", 0);
	/* A read-only range table makes the good call fail late, with nothing to close. */
	export.ranges = 8;
	test_sizes(P2PDMA_EXPORT_EXPORT, &export, sizeof(export), "export", -EFAULT);
}

int main(int argc, char **argv)
{
	struct leftovers before;

	if (argc != 4) {
		fprintf(stderr, "usage: bad_ioctls NODE BAR BAD-BAR\n");
		return 2;
	}
	before = set_up(argv);
	test_all_sizes();
	test_export_fields((uint32_t)strtoul(argv[3], NULL, 0));
	test_export_ranges();
	test_export_limits();
	return tear_down(&before);
}
