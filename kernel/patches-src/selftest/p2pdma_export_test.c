// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of /dev/p2pdma/<dddd:bb:dd.f> that need no importer.
 *
 * The device is the first one there is, or the one that P2PDMA_EXPORT_NODE names in
 * the environment.
 * The BAR is only read, unless P2PDMA_EXPORT_WRITABLE is set: reading the BAR of
 * a device that does something may have side effects, too, so don't run this on
 * one that is in use.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "../../../kselftest_harness.h"

#define NODE_DIR	"/dev/" P2PDMA_EXPORT_DIR

/* 0 or -errno */
static int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static int open_device(int flags)
{
	const char *node = getenv("P2PDMA_EXPORT_NODE");
	char path[300];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	if (node)
		return open(node, flags | O_CLOEXEC);
	dir = opendir(NODE_DIR);
	if (!dir)
		return -1;
	while (fd < 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", NODE_DIR, entry->d_name);
		fd = open(path, flags | O_CLOEXEC);
	}
	closedir(dir);
	return fd;
}

struct target {
	int fd;
	unsigned int bar;
	__u64 page;
	struct p2pdma_export_info info;
};

FIXTURE(device)
{
	struct target target;
};

FIXTURE_SETUP(device)
{
	struct target *target = &self->target;

	target->fd = open_device(O_RDWR);
	if (target->fd < 0)
		SKIP(return, "no device in " NODE_DIR);
	target->info.argsz = sizeof(target->info);
	ASSERT_EQ(0, call(target->fd, P2PDMA_EXPORT_INFO, &target->info));
	target->page = target->info.page_size;
	while (target->bar < P2PDMA_EXPORT_MAX_BARS &&
	       (!(target->info.bars[target->bar].flags & P2PDMA_EXPORT_BAR_EXPORTABLE) ||
		target->info.bars[target->bar].size < 4 * target->page))
		target->bar++;
	if (target->bar == P2PDMA_EXPORT_MAX_BARS)
		SKIP(return, "no BAR of four pages");
}

FIXTURE_TEARDOWN(device)
{
	if (self->target.fd >= 0)
		close(self->target.fd);
}

static int export_ranges(struct target *target, const struct p2pdma_export_range *ranges,
			 __u32 nr, struct p2pdma_export_export *ret_arg)
{
	*ret_arg = (struct p2pdma_export_export){
		.argsz = sizeof(*ret_arg),
		.bar = target->bar,
		.nr_ranges = nr,
		.ranges = (uintptr_t)ranges,
		.open_flags = O_RDWR | O_CLOEXEC,
	};
	return call(target->fd, P2PDMA_EXPORT_EXPORT, ret_arg);
}

static int export_pages(struct target *target, __u64 first, __u64 nr,
			struct p2pdma_export_export *ret_arg)
{
	struct p2pdma_export_range range = {
		.offset = first * target->page,
		.length = nr * target->page,
	};

	return export_ranges(target, &range, 1, ret_arg);
}

static int revoke_export(struct target *target, __u32 id,
			 struct p2pdma_export_revoke *ret_arg)
{
	*ret_arg = (struct p2pdma_export_revoke){ .argsz = sizeof(*ret_arg), .export_id = id };
	return call(target->fd, P2PDMA_EXPORT_REVOKE, ret_arg);
}

static int query_status(struct target *target, __u32 id,
			struct p2pdma_export_status *ret_arg)
{
	*ret_arg = (struct p2pdma_export_status){ .argsz = sizeof(*ret_arg), .export_id = id };
	return call(target->fd, P2PDMA_EXPORT_STATUS, ret_arg);
}

/* Exports as a user without capabilities; 0 or -errno. */
static int export_unrevocable_as_nobody(struct target *target)
{
	struct p2pdma_export_range range = { .length = target->page };
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.flags = P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE,
		.bar = target->bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_RDWR | O_CLOEXEC,
	};
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(setuid(65534) ? 255 : -call(target->fd, P2PDMA_EXPORT_EXPORT, &arg));
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

static int open_attribute(const struct target *target, int flags)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/class/p2pdma_export/%04x:%02x:%02x.%x/allow_unrevocable",
		 target->info.domain, target->info.bus, target->info.devfn >> 3,
		 target->info.devfn & 7);
	return open(path, flags | O_CLOEXEC);
}

TEST_F(device, info_describes_the_function)
{
	struct target *target = &self->target;

	EXPECT_EQ(sysconf(_SC_PAGESIZE), target->info.page_size);
	EXPECT_EQ(P2PDMA_EXPORT_MAX_RANGES, target->info.max_ranges);
	EXPECT_NE(0, target->info.generation);
	EXPECT_NE(0, target->info.vendor);
	EXPECT_EQ(0, target->info.reserved);
}

TEST_F(device, argsz_and_tail_are_checked)
{
	struct target *target = &self->target;
	struct {
		struct p2pdma_export_info info;
		__u64 tail;
	} arg = { .info.argsz = sizeof(arg) };

	EXPECT_EQ(0, call(target->fd, P2PDMA_EXPORT_INFO, &arg));
	memset(&arg, 0, sizeof(arg));
	arg.info.argsz = sizeof(arg);
	arg.tail = 1;
	EXPECT_EQ(-E2BIG, call(target->fd, P2PDMA_EXPORT_INFO, &arg));
	arg.tail = 0;
	arg.info.argsz = sizeof(arg.info) - 1;
	EXPECT_EQ(-EINVAL, call(target->fd, P2PDMA_EXPORT_INFO, &arg));
	arg.info.argsz = sizeof(arg.info);
	arg.info.flags = 1;
	EXPECT_EQ(-EINVAL, call(target->fd, P2PDMA_EXPORT_INFO, &arg));
	EXPECT_EQ(-EFAULT, call(target->fd, P2PDMA_EXPORT_INFO, NULL));
	EXPECT_EQ(-ENOTTY, call(target->fd, _IO(P2PDMA_EXPORT_IOC, 0x1f), &arg));
}

TEST_F(device, export_refuses_bad_ranges)
{
	struct target *target = &self->target;
	struct p2pdma_export_export arg;
	struct p2pdma_export_range two[2];
	struct p2pdma_export_range range;
	__u64 page = target->page;
	__u64 size = target->info.bars[target->bar].size;

	EXPECT_EQ(-EINVAL, export_pages(target, 0, 0, &arg));
	EXPECT_EQ(-EINVAL, export_pages(target, size / page, 1, &arg));
	EXPECT_EQ(-EINVAL, export_pages(target, size / page - 1, 2, &arg));
	range = (struct p2pdma_export_range){ .offset = 1, .length = page };
	EXPECT_EQ(-EINVAL, export_ranges(target, &range, 1, &arg));
	range = (struct p2pdma_export_range){ .offset = 0, .length = page + 1 };
	EXPECT_EQ(-EINVAL, export_ranges(target, &range, 1, &arg));
	range = (struct p2pdma_export_range){ .offset = -page, .length = 2 * page };
	EXPECT_EQ(-EINVAL, export_ranges(target, &range, 1, &arg));
	two[0] = (struct p2pdma_export_range){ .offset = page, .length = 2 * page };
	two[1] = (struct p2pdma_export_range){ .offset = 0, .length = 2 * page };
	EXPECT_EQ(-EINVAL, export_ranges(target, two, 2, &arg));
	EXPECT_EQ(-EINVAL, export_ranges(target, two, 0, &arg));
	EXPECT_EQ(-EINVAL, export_ranges(target, two, P2PDMA_EXPORT_MAX_RANGES + 1, &arg));
	EXPECT_EQ(-EFAULT, export_ranges(target, NULL, 1, &arg));
}

TEST_F(device, export_maps_ranges_in_their_order)
{
	struct target *target = &self->target;
	struct p2pdma_export_range turned[2] = {
		{ .offset = 2 * target->page, .length = 2 * target->page },
		{ .offset = 0, .length = target->page },
	};
	__u32 *plain, *view;
	struct p2pdma_export_export whole, arg;
	size_t words = target->page / sizeof(*view);
	size_t i;

	ASSERT_EQ(0, export_pages(target, 0, 4, &whole));
	ASSERT_EQ(0, export_ranges(target, turned, 2, &arg));
	EXPECT_EQ(3 * target->page, arg.size);
	EXPECT_EQ(arg.size, lseek(arg.fd, 0, SEEK_END));
	plain = mmap(NULL, whole.size, PROT_READ | PROT_WRITE, MAP_SHARED, whole.fd, 0);
	view = mmap(NULL, arg.size, PROT_READ | PROT_WRITE, MAP_SHARED, arg.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)plain);
	ASSERT_NE(MAP_FAILED, (void *)view);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, arg.size, PROT_READ, MAP_PRIVATE, arg.fd, 0));

	if (getenv("P2PDMA_EXPORT_WRITABLE"))
		for (i = 0; i < 4 * words; i++)
			plain[i] = i * 2654435761U;
	for (i = 0; i < 3 * words; i++)
		ASSERT_EQ(plain[i < 2 * words ? i + 2 * words : i - 2 * words], view[i]);
	if (getenv("P2PDMA_EXPORT_WRITABLE")) {
		view[2 * words] = 0x600dcafe;
		EXPECT_EQ(0x600dcafe, plain[0]);
	}
	munmap(plain, whole.size);
	munmap(view, arg.size);
	close(whole.fd);
	close(arg.fd);
}

TEST_F(device, unrevocable_needs_leave)
{
	struct target *target = &self->target;
	char before[2] = "";
	int attribute;

	attribute = open_attribute(target, O_RDWR);
	if (attribute < 0 && errno == EACCES)
		SKIP(return, "only root may give leave");
	ASSERT_LE(0, attribute);
	ASSERT_EQ(2, pread(attribute, before, 2, 0));
	ASSERT_EQ(1, pwrite(attribute, "0", 1, 0));
	EXPECT_EQ(-EPERM, export_unrevocable_as_nobody(target));
	ASSERT_EQ(1, pwrite(attribute, "1", 1, 0));
	EXPECT_EQ(0, export_unrevocable_as_nobody(target));
	EXPECT_EQ(-1, pwrite(attribute, "x", 1, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, export_unrevocable_as_nobody(target));
	EXPECT_EQ(1, pwrite(attribute, before, 1, 0));
	close(attribute);
}

static sigjmp_buf sigbus_jump;

static void on_sigbus(int sig)
{
	siglongjmp(sigbus_jump, sig);
}

/* Whether reading a word gives SIGBUS. */
static bool is_cut_off(const __u32 *word)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	struct sigaction old;
	bool cut_off = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(sigbus_jump, 1)) {
		__atomic_load_n(word, __ATOMIC_RELAXED);
		cut_off = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return cut_off;
}

TEST_F(device, revoke_cuts_off_for_good)
{
	struct target *target = &self->target;
	struct p2pdma_export_revoke arg;
	struct p2pdma_export_status state;
	struct p2pdma_export_export export;
	__u32 *view;

	ASSERT_EQ(0, export_pages(target, 0, 1, &export));
	view = mmap(NULL, export.size, PROT_READ, MAP_SHARED, export.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)view);
	EXPECT_FALSE(is_cut_off(view));

	ASSERT_EQ(0, revoke_export(target, export.export_id, &arg));
	EXPECT_EQ(1, arg.nr_revoked);
	EXPECT_EQ(0, arg.nr_remaining);
	EXPECT_TRUE(is_cut_off(view));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, export.size, PROT_READ, MAP_SHARED, export.fd, 0));
	EXPECT_EQ(ENODEV, errno);

	ASSERT_EQ(0, query_status(target, export.export_id, &state));
	EXPECT_EQ(P2PDMA_EXPORT_STATE_REVOKED, state.state);
	EXPECT_EQ(P2PDMA_EXPORT_REASON_IOCTL, state.reason);
	ASSERT_EQ(0, revoke_export(target, export.export_id, &arg));
	EXPECT_EQ(0, arg.nr_revoked);

	munmap(view, export.size);
	close(export.fd);
}

TEST_F(device, revoke_all_spares_other_files)
{
	struct target *target = &self->target;
	struct p2pdma_export_revoke arg = {
		.argsz = sizeof(arg),
		.flags = P2PDMA_EXPORT_REVOKE_ALL,
	};
	struct target other = *target;
	struct p2pdma_export_export mine[2], theirs;
	struct p2pdma_export_status state;

	other.fd = open_device(O_RDWR);
	ASSERT_LE(0, other.fd);
	ASSERT_EQ(0, export_pages(target, 0, 1, &mine[0]));
	ASSERT_EQ(0, export_pages(target, 1, 1, &mine[1]));
	ASSERT_EQ(0, export_pages(&other, 1, 1, &theirs));
	EXPECT_EQ(-ENOENT, query_status(&other, theirs.export_id + 1, &state));

	ASSERT_EQ(0, call(target->fd, P2PDMA_EXPORT_REVOKE, &arg));
	EXPECT_EQ(2, arg.nr_revoked);
	ASSERT_EQ(0, query_status(&other, theirs.export_id, &state));
	EXPECT_EQ(P2PDMA_EXPORT_STATE_ACTIVE, state.state);

	close(mine[0].fd);
	close(mine[1].fd);
	close(theirs.fd);
	close(other.fd);
}

TEST_F(device, close_of_the_file_revokes)
{
	struct target *target = &self->target;
	struct target other = *target;
	struct p2pdma_export_export export;
	__u32 *view;

	other.fd = open_device(O_RDWR);
	ASSERT_LE(0, other.fd);
	ASSERT_EQ(0, export_pages(&other, 0, 1, &export));
	view = mmap(NULL, export.size, PROT_READ, MAP_SHARED, export.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)view);
	EXPECT_FALSE(is_cut_off(view));
	close(other.fd);
	EXPECT_TRUE(is_cut_off(view));
	munmap(view, export.size);
	close(export.fd);
}

TEST_F(device, status_after_the_dmabuf_closed_enoent)
{
	struct target *target = &self->target;
	struct p2pdma_export_export export;
	struct p2pdma_export_status state;
	struct p2pdma_export_revoke arg;

	ASSERT_EQ(0, export_pages(target, 0, 1, &export));
	ASSERT_EQ(0, query_status(target, export.export_id, &state));
	EXPECT_EQ(export.size, state.size);
	EXPECT_EQ(0, state.nr_attachments);
	close(export.fd);
	EXPECT_EQ(-ENOENT, query_status(target, export.export_id, &state));
	EXPECT_EQ(-ENOENT, revoke_export(target, export.export_id, &arg));
	EXPECT_EQ(-ENOENT, revoke_export(target, 0, &arg));
}

TEST_F(device, events_tell_of_a_revocation)
{
	struct target *target = &self->target;
	struct p2pdma_export_eventfd set = { .argsz = sizeof(set) };
	struct p2pdma_export_event event;
	struct p2pdma_export_export export;
	struct p2pdma_export_revoke arg;
	struct pollfd pfd = { .events = POLLIN };
	__u64 count;
	int fd;

	fd = open_device(O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, fd);
	close(target->fd);
	target->fd = fd;
	set.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, set.fd);
	ASSERT_EQ(0, call(target->fd, P2PDMA_EXPORT_SET_EVENTFD, &set));
	EXPECT_EQ(-1, read(target->fd, &event, sizeof(event)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-1, read(target->fd, &event, sizeof(event) - 1));
	EXPECT_EQ(EINVAL, errno);

	ASSERT_EQ(0, export_pages(target, 0, 1, &export));
	ASSERT_EQ(0, revoke_export(target, export.export_id, &arg));
	pfd.fd = target->fd;
	EXPECT_EQ(1, poll(&pfd, 1, 1000));
	EXPECT_EQ(POLLIN, pfd.revents);
	ASSERT_EQ(sizeof(count), read(set.fd, &count, sizeof(count)));
	EXPECT_EQ(1, count);
	ASSERT_EQ(sizeof(event), read(target->fd, &event, sizeof(event)));
	EXPECT_EQ(sizeof(event), event.size);
	EXPECT_EQ(P2PDMA_EXPORT_EVENT_REVOKED, event.type);
	EXPECT_EQ(export.export_id, event.export_id);
	EXPECT_EQ(P2PDMA_EXPORT_REASON_IOCTL, event.reason);
	EXPECT_EQ(0, event.lost);

	close(set.fd);
	set.fd = export.fd;
	EXPECT_EQ(-EINVAL, call(target->fd, P2PDMA_EXPORT_SET_EVENTFD, &set));
	set.fd = -1;
	EXPECT_EQ(0, call(target->fd, P2PDMA_EXPORT_SET_EVENTFD, &set));
	close(export.fd);
}

TEST_F(device, path_to_nobody_enxio)
{
	struct target *target = &self->target;
	struct p2pdma_export_path path = {
		.argsz = sizeof(path),
		.client_domain = 0x7ffffffe,
	};

	EXPECT_EQ(-ENXIO, call(target->fd, P2PDMA_EXPORT_PATH, &path));
	path.client_bus = 256;
	EXPECT_EQ(-EINVAL, call(target->fd, P2PDMA_EXPORT_PATH, &path));
}

TEST_F(device, nothing_is_left_over)
{
	struct target *target = &self->target;
	struct p2pdma_export_info info = { .argsz = sizeof(info) };
	struct p2pdma_export_export export;

	ASSERT_EQ(0, export_pages(target, 0, 2, &export));
	ASSERT_EQ(0, call(target->fd, P2PDMA_EXPORT_INFO, &info));
	EXPECT_EQ(target->info.nr_exports + 1, info.nr_exports);
	EXPECT_EQ(target->info.exported_bytes + 2 * target->page, info.exported_bytes);
	close(export.fd);
	info = (struct p2pdma_export_info){ .argsz = sizeof(info) };
	ASSERT_EQ(0, call(target->fd, P2PDMA_EXPORT_INFO, &info));
	EXPECT_EQ(target->info.nr_exports, info.nr_exports);
	EXPECT_EQ(target->info.exported_bytes, info.exported_bytes);
}

TEST_HARNESS_MAIN
