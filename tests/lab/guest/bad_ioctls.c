/* SPDX-License-Identifier: MIT */
/*
 * bad_ioctls NODE BAR BAD-BAR: what the device node must refuse, field by field.
 *
 * Each case changes one thing of a good call and demands one errno. Afterwards the
 * function has exactly the exports it had before, and no descriptor appeared.
 * BAR is one of at least 1 MiB that can be exported, BAD-BAR one that can't.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "common/labtest.h"

#define PAGE		4096ULL
#define NOBODY		65534
#define BAD_POINTER	((void *)16)

static struct {
	const char *node;
	int fd;
	uint32_t bar;
	uint32_t bad_bar;
	uint64_t bar_bytes;
} lab;

static void wants(long long wanted, long long got, const char *name)
{
	tap_ok(got == wanted, name, got);
}

static int nr_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		die(-errno, "/proc/self/fd");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static struct p2pdma_export_info info(void)
{
	struct p2pdma_export_info arg = { .argsz = sizeof(arg) };

	must(call(lab.fd, P2PDMA_EXPORT_INFO, &arg), "P2PDMA_EXPORT_INFO");
	return arg;
}

/* The rules for every argument: too small, a tail that is zero, one that isn't, no memory. */
static void test_sizes(unsigned long request, const void *good, uint32_t size, const char *what,
		       int good_answer)
{
	union {
		uint32_t argsz;
		uint8_t bytes[8192];
	} arg = { 0 };
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
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	char name[80];

	if (pages == MAP_FAILED)
		die(-errno, "mmap");
	munmap(pages + PAGE, PAGE);
	memcpy(pages + PAGE - size + 4, good, size - 4);
	snprintf(name, sizeof(name), "%s_half_mapped_efault", what);
	wants(-EFAULT, call(lab.fd, request, pages + PAGE - size + 4), name);
	munmap(pages, PAGE);
}

static const struct p2pdma_export_range one_page = { 0, PAGE };

static struct p2pdma_export_export good_export(void)
{
	return (struct p2pdma_export_export){
		.argsz = sizeof(struct p2pdma_export_export),
		.bar = lab.bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&one_page,
		.open_flags = O_CLOEXEC | O_RDWR,
		.fd = -1,
	};
}

static int try_export(struct p2pdma_export_export arg)
{
	int ret = call(lab.fd, P2PDMA_EXPORT_EXPORT, &arg);

	if (ret >= 0)
		close(arg.fd);
	return ret;
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
	struct p2pdma_export_range range = { offset, length };

	return try_ranges(&range, 1);
}

/* EXPORT with one field changed. */
#define EXPORT_WITH(field, value) \
	({ struct p2pdma_export_export _arg = good_export(); _arg.field = (value); \
	   try_export(_arg); })

static void test_export_fields(void)
{
	wants(0, try_export(good_export()), "export_good_call_succeeds");
	wants(-EINVAL, EXPORT_WITH(flags, 1U << 31), "export_unknown_flag_einval");
	wants(-EINVAL, EXPORT_WITH(bar, P2PDMA_EXPORT_MAX_BARS), "export_bar_six_einval");
	wants(-EINVAL, EXPORT_WITH(bar, UINT32_MAX), "export_bar_huge_einval");
	wants(-EINVAL, EXPORT_WITH(bar, lab.bad_bar), "export_bar_not_exportable_einval");
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
	struct p2pdma_export_range two[2] = { { 0, PAGE }, { PAGE, PAGE } };
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
	two[1] = (struct p2pdma_export_range){ PAGE, PAGE };
	wants(-EINVAL, try_ranges(two, 2), "ranges_overlapping_einval");
	two[0] = (struct p2pdma_export_range){ 4 * PAGE, 4 * PAGE };
	two[1] = (struct p2pdma_export_range){ 2 * PAGE, 3 * PAGE };
	wants(-EINVAL, try_ranges(two, 2), "ranges_overlapping_backwards_einval");
	two[1] = (struct p2pdma_export_range){ end, PAGE };
	wants(-EINVAL, try_ranges(two, 2), "ranges_second_one_bad_einval");
	/* Every second page from the back: unsorted, none touches another. */
	for (i = 0; i < P2PDMA_EXPORT_MAX_RANGES; i++)
		many[i] = (struct p2pdma_export_range){ (2 * (511 - i)) * PAGE % end, PAGE };
	wants(0, try_ranges(many, end >= 4 << 20 ? P2PDMA_EXPORT_MAX_RANGES : 64),
	      "ranges_as_many_as_allowed_succeed");
	many[P2PDMA_EXPORT_MAX_RANGES - 1] = many[0];
	wants(-EINVAL, try_ranges(many, P2PDMA_EXPORT_MAX_RANGES), "ranges_last_repeats_first_einval");
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
	tight = (struct rlimit){ (rlim_t)filler + 1, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &tight);
	wants(-EMFILE, try_export(arg), "export_without_a_free_fd_emfile");
	setrlimit(RLIMIT_NOFILE, &old);
	close(filler);
	wants(before.nr_exports, info().nr_exports, "export_emfile_leaves_no_export");
}

static int revoke_with(uint32_t flags, uint32_t id, uint32_t reserved)
{
	struct p2pdma_export_revoke arg = {
		.argsz = sizeof(arg), .flags = flags, .export_id = id, .reserved = reserved,
	};
	int ret = call(lab.fd, P2PDMA_EXPORT_REVOKE, &arg);

	return ret < 0 ? ret : (int)arg.nr_revoked;
}

static int status_of(int fd, uint32_t id, uint32_t flags)
{
	struct p2pdma_export_status arg = { .argsz = sizeof(arg), .flags = flags, .export_id = id };

	return call(fd, P2PDMA_EXPORT_STATUS, &arg);
}

static void test_ids(void)
{
	struct p2pdma_export_export arg = good_export();
	struct p2pdma_export_revoke foreign = { .argsz = sizeof(foreign) };
	int other = (int)must(open(lab.node, O_RDWR | O_CLOEXEC), lab.node);

	must(call(lab.fd, P2PDMA_EXPORT_EXPORT, &arg), "P2PDMA_EXPORT_EXPORT");
	wants(-ENOENT, revoke_with(0, arg.export_id + 1000, 0), "revoke_unknown_id_enoent");
	wants(-ENOENT, revoke_with(0, UINT32_MAX, 0), "revoke_huge_id_enoent");
	wants(-EINVAL, revoke_with(1U << 31, arg.export_id, 0), "revoke_unknown_flag_einval");
	wants(-EINVAL, revoke_with(0, arg.export_id, 1), "revoke_reserved_einval");
	wants(-EINVAL, revoke_with(P2PDMA_EXPORT_REVOKE_ALL, arg.export_id, 0),
	      "revoke_all_with_an_id_einval");
	wants(-ENOENT, status_of(lab.fd, arg.export_id + 1000, 0), "status_unknown_id_enoent");
	wants(-EINVAL, status_of(lab.fd, arg.export_id, 1), "status_flags_einval");
	wants(-ENOENT, status_of(other, arg.export_id, 0), "status_of_another_file_enoent");
	foreign.export_id = arg.export_id;
	wants(-ENOENT, call(other, P2PDMA_EXPORT_REVOKE, &foreign),
	      "revoke_of_another_file_enoent");
	wants(0, status_of(lab.fd, arg.export_id, 0), "status_good_call_succeeds");
	wants(1, revoke_with(0, arg.export_id, 0), "revoke_good_call_revokes_one");
	wants(0, revoke_with(0, arg.export_id, 0), "revoke_again_revokes_none");
	wants(0, status_of(lab.fd, arg.export_id, 0), "status_after_revoke_succeeds");
	close(arg.fd);
	wants(-ENOENT, status_of(lab.fd, arg.export_id, 0), "status_after_the_last_close_enoent");
	wants(-ENOENT, revoke_with(0, arg.export_id, 0), "revoke_after_the_last_close_enoent");
	wants(0, revoke_with(P2PDMA_EXPORT_REVOKE_ALL, 0, 0), "revoke_all_of_none_succeeds");
	close(other);
}

/* PATH with one field changed. */
#define PATH_WITH(field, value) \
	({ struct p2pdma_export_path _arg = { .argsz = sizeof(_arg) }; _arg.field = (value); \
	   call(lab.fd, P2PDMA_EXPORT_PATH, &_arg); })

static void test_path(void)
{
	wants(0, PATH_WITH(client_bus, 0), "path_host_bridge_succeeds");
	wants(-EINVAL, PATH_WITH(flags, 1), "path_flags_einval");
	wants(-EINVAL, PATH_WITH(reserved, 1), "path_reserved_einval");
	wants(-EINVAL, PATH_WITH(client_bus, 256), "path_bus_256_einval");
	wants(-EINVAL, PATH_WITH(client_devfn, 256), "path_devfn_256_einval");
	wants(-ENXIO, PATH_WITH(client_bus, 255), "path_no_such_client_enxio");
	wants(-ENXIO, PATH_WITH(client_domain, 77), "path_no_such_domain_enxio");
}

static int set_eventfd(int fd, uint32_t flags, uint32_t reserved)
{
	struct p2pdma_export_eventfd arg = {
		.argsz = sizeof(arg), .flags = flags, .fd = fd, .reserved = reserved,
	};

	return call(lab.fd, P2PDMA_EXPORT_SET_EVENTFD, &arg);
}

static void test_eventfd(void)
{
	int good = eventfd(0, EFD_CLOEXEC);
	int foreign = (int)must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");

	wants(0, set_eventfd(good, 0, 0), "eventfd_good_call_succeeds");
	wants(0, set_eventfd(-1, 0, 0), "eventfd_none_succeeds");
	wants(-EINVAL, set_eventfd(good, 1, 0), "eventfd_flags_einval");
	wants(-EINVAL, set_eventfd(good, 0, 1), "eventfd_reserved_einval");
	wants(-EINVAL, set_eventfd(foreign, 0, 0), "eventfd_foreign_fd_einval");
	wants(-EINVAL, set_eventfd(lab.fd, 0, 0), "eventfd_own_node_einval");
	close(foreign);
	wants(-EBADF, set_eventfd(foreign, 0, 0), "eventfd_closed_fd_ebadf");
	wants(-EBADF, set_eventfd(-2, 0, 0), "eventfd_negative_ebadf");
	wants(-EBADF, set_eventfd(INT32_MAX, 0, 0), "eventfd_huge_ebadf");
	close(good);
}

static long long result(long long value)
{
	return value < 0 ? -errno : value;
}

static void test_other_calls(void)
{
	struct p2pdma_export_info arg = { .argsz = sizeof(arg) };
	uint8_t buffer[256];
	int foreign = (int)must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	void *memory;
	int nonblocking = (int)must(open(lab.node, O_RDWR | O_CLOEXEC | O_NONBLOCK), lab.node);

	wants(-ENOTTY, call(lab.fd, _IO(P2PDMA_EXPORT_IOC, 0x06), &arg), "ioctl_next_number_enotty");
	wants(-ENOTTY, call(lab.fd, _IO(P2PDMA_EXPORT_IOC, 0xff), &arg), "ioctl_last_number_enotty");
	wants(-ENOTTY, call(lab.fd, _IO('x', 0), &arg), "ioctl_other_magic_enotty");
	wants(-ENOTTY, call(lab.fd, _IOWR(P2PDMA_EXPORT_IOC, 0, int), &arg),
	      "ioctl_other_direction_enotty");
	wants(-ENOTTY, call(foreign, P2PDMA_EXPORT_INFO, &arg), "ioctl_on_a_foreign_fd_enotty");
	arg.flags = 1;
	wants(-EINVAL, call(lab.fd, P2PDMA_EXPORT_INFO, &arg), "info_flags_einval");
	wants(-EAGAIN, result(read(nonblocking, buffer, sizeof(buffer))), "read_no_event_eagain");
	wants(-EINVAL, result(read(nonblocking, buffer, sizeof(struct p2pdma_export_event) - 1)),
	      "read_short_buffer_einval");
	wants(-EINVAL, result(write(lab.fd, buffer, 1)), "write_einval");
	memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lab.fd, 0);
	wants(-ENODEV, memory == MAP_FAILED ? -errno : 0, "mmap_of_the_node_enodev");
	close(nonblocking);
	close(foreign);
}

static int map_result(int fd, uint64_t length, int protection, int flags, off_t offset)
{
	void *memory = mmap(NULL, length, protection, flags, fd, offset);

	if (memory == MAP_FAILED)
		return -errno;
	munmap(memory, length);
	return 0;
}

static void test_mmap(void)
{
	struct p2pdma_export_export arg = good_export();
	struct p2pdma_export_export readonly = good_export();

	must(call(lab.fd, P2PDMA_EXPORT_EXPORT, &arg), "P2PDMA_EXPORT_EXPORT");
	readonly.open_flags = O_CLOEXEC | O_RDONLY;
	must(call(lab.fd, P2PDMA_EXPORT_EXPORT, &readonly), "P2PDMA_EXPORT_EXPORT");
	wants(0, map_result(arg.fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0),
	      "mmap_good_call_succeeds");
	wants(-EINVAL, map_result(arg.fd, 2 * PAGE, PROT_READ, MAP_SHARED, 0),
	      "mmap_past_the_end_einval");
	wants(-EINVAL, map_result(arg.fd, PAGE, PROT_READ, MAP_SHARED, PAGE),
	      "mmap_beyond_the_end_einval");
	wants(-EINVAL, map_result(arg.fd, PAGE, PROT_READ, MAP_PRIVATE, 0), "mmap_private_einval");
	wants(-EACCES, map_result(readonly.fd, PAGE, PROT_WRITE | PROT_READ, MAP_SHARED, 0),
	      "mmap_read_only_for_writing_eacces");
	wants(0, map_result(readonly.fd, PAGE, PROT_READ, MAP_SHARED, 0),
	      "mmap_read_only_for_reading_succeeds");
	revoke_with(P2PDMA_EXPORT_REVOKE_ALL, 0, 0);
	wants(-ENODEV, map_result(arg.fd, PAGE, PROT_READ, MAP_SHARED, 0),
	      "mmap_after_revoke_enodev");
	close(arg.fd);
	close(readonly.fd);
}

/* Runs @body as nobody in a child; its exit status is an errno. */
static int as_nobody(int (*body)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(200);
		_exit(-body());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int nobody_opens(void)
{
	int fd = open(lab.node, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

static int nobody_exports(void)
{
	return try_export(good_export());
}

static int nobody_exports_unrevocable(void)
{
	return EXPORT_WITH(flags, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
}

static void test_unprivileged(void)
{
	wants(-EACCES, as_nobody(nobody_opens), "open_as_nobody_eacces");
	wants(0, as_nobody(nobody_exports), "export_as_nobody_on_a_given_fd_succeeds");
	wants(-EPERM, as_nobody(nobody_exports_unrevocable), "export_unrevocable_as_nobody_eperm");
	wants(0, EXPORT_WITH(flags, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE),
	      "export_unrevocable_as_root_succeeds");
}

static void test_read_only_file(void)
{
	struct p2pdma_export_export arg = good_export();
	int writable = lab.fd;

	lab.fd = (int)must(open(lab.node, O_RDONLY | O_CLOEXEC), lab.node);
	wants(-EACCES, try_export(arg), "export_writable_on_a_read_only_file_eacces");
	wants(0, EXPORT_WITH(open_flags, O_CLOEXEC | O_RDONLY),
	      "export_read_only_on_a_read_only_file_succeeds");
	wants(-EACCES, revoke_with(P2PDMA_EXPORT_REVOKE_ALL, 0, 0),
	      "revoke_on_a_read_only_file_eacces");
	close(lab.fd);
	lab.fd = writable;
}

static void test_all_sizes(void)
{
	struct p2pdma_export_info about = { .argsz = sizeof(about) };
	struct p2pdma_export_export export = good_export();
	struct p2pdma_export_revoke all = { .argsz = sizeof(all),
					    .flags = P2PDMA_EXPORT_REVOKE_ALL };
	struct p2pdma_export_status status = { .argsz = sizeof(status), .export_id = 9999 };
	struct p2pdma_export_path path = { .argsz = sizeof(path) };
	struct p2pdma_export_eventfd events = { .argsz = sizeof(events), .fd = -1 };

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
	struct p2pdma_export_info before, after;
	int fds;

	if (argc != 4) {
		fprintf(stderr, "usage: bad_ioctls NODE BAR BAD-BAR\n");
		return 2;
	}
	lab.node = argv[1];
	lab.bar = (uint32_t)strtoul(argv[2], NULL, 0);
	lab.bad_bar = (uint32_t)strtoul(argv[3], NULL, 0);
	lab.fd = (int)must(open(lab.node, O_RDWR | O_CLOEXEC), lab.node);
	before = info();
	lab.bar_bytes = before.bars[lab.bar].size;
	fds = nr_open_fds();
	test_all_sizes();
	test_export_fields();
	test_export_ranges();
	test_export_limits();
	test_ids();
	test_path();
	test_eventfd();
	test_other_calls();
	test_mmap();
	test_unprivileged();
	test_read_only_file();
	after = info();
	wants(before.nr_exports, after.nr_exports, "all_refused_calls_leave_no_export");
	wants((long long)before.exported_bytes, (long long)after.exported_bytes,
	      "all_refused_calls_leave_no_bytes");
	wants(fds, nr_open_fds(), "all_refused_calls_leave_no_fd");
	close(lab.fd);
	return tap_done();
}
