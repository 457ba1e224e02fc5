// SPDX-License-Identifier: MIT
/*
 * The real seam: each function is one call of libc with its error made a return
 * value. Nothing is decided here. No state, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "sys.h"

static int real_open_at(int dir_fd, const char *path, int flags)
{
	int fd = openat(dir_fd, path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int real_access_at(int dir_fd, const char *path, int mode)
{
	return faccessat(dir_fd, path, mode, AT_EACCESS) < 0 ? -errno : 0;
}

static int real_close(int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static int real_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static int real_ioctl(int fd, unsigned long request, void *argument)
{
	int r = ioctl(fd, request, argument);

	return r < 0 ? -errno : r;
}

static ssize_t real_read(int fd, void *data, size_t size)
{
	ssize_t r = read(fd, data, size);

	return r < 0 ? -errno : r;
}

static ssize_t real_pread(int fd, void *data, size_t size, uint64_t offset)
{
	ssize_t r = pread(fd, data, size, (off_t)offset);

	return r < 0 ? -errno : r;
}

static ssize_t real_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
	ssize_t r = pwrite(fd, data, size, (off_t)offset);

	return r < 0 ? -errno : r;
}

static int real_map(void *where, size_t length, int protection, int flags, int fd, uint64_t offset,
		    void **ret_address)
{
	void *address = mmap(where, length, protection, flags, fd, (off_t)offset);

	if (address == MAP_FAILED)
		return -errno;
	*ret_address = address;
	return 0;
}

static int real_unmap(void *address, size_t length)
{
	return munmap(address, length) < 0 ? -errno : 0;
}

static int real_stat(int fd, struct stat *ret_status)
{
	return fstat(fd, ret_status) < 0 ? -errno : 0;
}

static int real_fs_type(int fd, uint64_t *ret_type)
{
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return -errno;
	*ret_type = (uint64_t)status.f_type;
	return 0;
}

static int real_size(int fd, uint64_t *ret_size_bytes)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0)
		return -errno;
	*ret_size_bytes = (uint64_t)end;
	return 0;
}

static int real_access_mode(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -errno : flags & O_ACCMODE;
}

static int real_memory(const char *name, uint64_t size_bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (size_bytes <= INT64_MAX && !ftruncate(fd, (off_t)size_bytes) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) >= 0)
		return fd;
	r = size_bytes <= INT64_MAX ? -errno : -EFBIG;
	close(fd);
	return r;
}

static int real_limit(int resource, uint64_t *ret_limit)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return -errno;
	*ret_limit = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	return 0;
}

static int real_is_member(uint32_t group)
{
	cleanup_free gid_t *groups = NULL;
	int count, room;

	if (getegid() == group)
		return 1;
	room = getgroups(0, NULL);
	groups = room > 0 ? calloc((size_t)room, sizeof(*groups)) : NULL;
	if (!groups)
		return room > 0 ? -ENOMEM : 0;
	/* More than before: another thread has just changed them. */
	count = getgroups(room, groups);
	for (int i = 0; i < count; i++) {
		if (groups[i] == group)
			return 1;
	}
	return count < 0 ? -errno : 0;
}

const char *error_name(int error)
{
	/* INT_MIN has no opposite, and no name either way. */
	int number = error < 0 && error != INT_MIN ? -error : error;
	const char *name = strerrorname_np(number);

	if (!name && number == ENOTSUPP)
		name = "ENOTSUPP";
	return name ? name : "unknown error";
}

const struct sys_ops sys_real = {
	.open_at = real_open_at,
	.access_at = real_access_at,
	.close = real_close,
	.dup = real_dup,
	.ioctl = real_ioctl,
	.read = real_read,
	.pread = real_pread,
	.pwrite = real_pwrite,
	.map = real_map,
	.unmap = real_unmap,
	.stat = real_stat,
	.fs_type = real_fs_type,
	.size = real_size,
	.access_mode = real_access_mode,
	.memory = real_memory,
	.limit = real_limit,
	.is_member = real_is_member,
};
