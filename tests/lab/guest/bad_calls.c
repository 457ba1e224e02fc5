/* SPDX-License-Identifier: MIT */
/*
 * bad_calls NODE BAR: what the other ioctls, the other calls and other users are
 * refused: unknown and foreign ids, foreign and closed descriptors, mappings that
 * don't fit, an opener without privileges and the leave that an administrator can
 * give it, a file opened for reading only.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bad.h"

#define NOBODY 65534

static int revoke_with(uint32_t flags, uint32_t id, uint32_t reserved)
{
	struct p2pdma_export_revoke arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.export_id = id,
		.reserved = reserved,
	};
	int ret = call(lab.fd, P2PDMA_EXPORT_REVOKE, &arg);

	return ret < 0 ? ret : (int)arg.nr_revoked;
}

static int status_of(int fd, uint32_t id, uint32_t flags)
{
	struct p2pdma_export_status arg = {.argsz = sizeof(arg), .flags = flags, .export_id = id};

	return call(fd, P2PDMA_EXPORT_STATUS, &arg);
}

static void test_ids(void)
{
	struct p2pdma_export_export arg = good_export();
	struct p2pdma_export_revoke foreign = {.argsz = sizeof(foreign)};
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
#define PATH_WITH(field, value)                                                                    \
	({                                                                                         \
		struct p2pdma_export_path _arg = {.argsz = sizeof(_arg)};                          \
		_arg.field = (value);                                                              \
		call(lab.fd, P2PDMA_EXPORT_PATH, &_arg);                                           \
	})

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
		.argsz = sizeof(arg),
		.flags = flags,
		.fd = fd,
		.reserved = reserved,
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
	struct p2pdma_export_info arg = {.argsz = sizeof(arg)};
	uint8_t buffer[256];
	int foreign = (int)must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	void *memory;
	int nonblocking = (int)must(open(lab.node, O_RDWR | O_CLOEXEC | O_NONBLOCK), lab.node);

	wants(-ENOTTY, call(lab.fd, _IO(P2PDMA_EXPORT_IOC, 0x06), &arg),
	      "ioctl_next_number_enotty");
	wants(-ENOTTY, call(lab.fd, _IO(P2PDMA_EXPORT_IOC, 0xff), &arg),
	      "ioctl_last_number_enotty");
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

static int leave_fd = -1; /* the device's allow_unrevocable */

static int set_leave(const char *text)
{
	return pwrite(leave_fd, text, strlen(text), 0) < 0 ? -errno : 0;
}

static int nobody_opens_leave(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/p2pdma_export%s/allow_unrevocable",
		 strrchr(lab.node, '/'));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		leave_fd = fd;
	return fd < 0 ? -errno : 0;
}

static int nobody_gives_leave(void)
{
	return set_leave("1");
}

/* Who may use importers that can't be revoked, without a capability. */
static void test_leave(void)
{
	char is[4] = "";

	wants(-EACCES, as_nobody(nobody_opens_leave), "leave_open_as_nobody_eacces");
	must(nobody_opens_leave(), "allow_unrevocable");
	must(pread(leave_fd, is, sizeof(is) - 1, 0), "allow_unrevocable");
	tap_ok(!strcmp(is, "0\n"), "leave_is_off_at_first", 0);
	wants(-EPERM, as_nobody(nobody_gives_leave), "leave_on_a_given_fd_eperm");
	wants(-EPERM, as_nobody(nobody_exports_unrevocable), "export_before_leave_eperm");
	wants(-EINVAL, set_leave("perhaps"), "leave_nonsense_einval");
	wants(0, set_leave("1"), "leave_given");
	must(pread(leave_fd, is, sizeof(is) - 1, 0), "allow_unrevocable");
	tap_ok(!strcmp(is, "1\n"), "leave_is_told", 0);
	wants(0, as_nobody(nobody_exports_unrevocable), "export_with_leave_succeeds");
	wants(0, set_leave("0"), "leave_taken_back");
	wants(-EPERM, as_nobody(nobody_exports_unrevocable), "export_after_leave_eperm");
	close(leave_fd);
}

static void test_read_only_file(void)
{
	struct p2pdma_export_export arg = good_export();
	int writable = lab.fd;

	lab.fd = (int)must(open(lab.node, O_RDONLY | O_CLOEXEC), lab.node);
	wants(-EACCES, try_export(arg), "export_writable_on_a_read_only_file_eacces");
	wants(0, EXPORT_WITH(open_flags, O_CLOEXEC | O_RDONLY),
	      "export_read_only_on_a_read_only_file_succeeds");
	wants(0, revoke_with(P2PDMA_EXPORT_REVOKE_ALL, 0, 0),
	      "revoke_on_a_read_only_file_succeeds");
	close(lab.fd);
	lab.fd = writable;
}

int main(int argc, char **argv)
{
	struct leftovers before;

	if (argc != 3) {
		fprintf(stderr, "usage: bad_calls NODE BAR\n");
		return 2;
	}
	before = set_up(argv);
	test_ids();
	test_path();
	test_eventfd();
	test_other_calls();
	test_mmap();
	test_unprivileged();
	test_leave();
	test_read_only_file();
	return tear_down(&before);
}
