// SPDX-License-Identifier: MIT
/*
 * The fake kernel: descriptors, and who answers for each. The export module is in fake_export.c,
 * verbs in fake_verbs.c, VFIO in fake_vfio.c, sysfs and the fixtures in fake.c. A real kernel takes
 * calls from many threads; this one takes them one after the other, by fake_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake.h"
#include "fake_call.h"
#include "fake_drm.h"
#include "fake_memory.h"
#include "fake_vfio.h"

struct fake fake;

/* Recursive: a test's hook may call the library again. */
pthread_mutex_t fake_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static void add_failure(const struct fake_failure *failure)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.failures); i++) {
		if (fake.failures[i].request)
			continue;
		fake.failures[i] = *failure;
		return;
	}
	fail_msg("too many failures at once");
}

void fake_fail(unsigned long request, int error, int countdown)
{
	add_failure(&(struct fake_failure){request, error, countdown, NULL});
}

void fake_happen(unsigned long request, void (*happens)(void), int countdown)
{
	add_failure(&(struct fake_failure){request, 0, countdown, happens});
}

int fake_take_failure(unsigned long request)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.failures); i++) {
		struct fake_failure failure = fake.failures[i];

		if (!failure.request || failure.request != request || fake.failures[i].countdown--)
			continue;
		fake.failures[i].request = 0;
		if (failure.happens)
			failure.happens();
		return failure.error;
	}
	return 0;
}

int fake_add_fd(int fd, enum fake_kind kind)
{
	assert_in_range(fd, 0, FAKE_MAX_FDS - 1);
	fake.kinds[fd] = kind;
	return fd;
}

/* A procfs of its own below the root; a DMABUF's fdinfo is made here, as the kernel does. */
static int open_proc(const char *path)
{
	char full[128];
	int fd, dmabuf;

	if (sscanf(path, "/proc/self/fdinfo/%d", &dmabuf) == 1 && fake_is_dmabuf(dmabuf) &&
	    fake.exporter) {
		fd = memfd_create("fdinfo", MFD_CLOEXEC);
		dprintf(fd,
			"pos:\t0\nflags:\t02000002\nsize:\t4096\ncount:\t1\n"
			"exp_name:\t%s\nname:\texp_name:\tfalse\n",
			fake.exporter);
		lseek(fd, 0, SEEK_SET);
		return fd;
	}
	snprintf(full, sizeof(full), "%s/%s", fake.root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int sys_open_at(int dir_fd, const char *path, int flags)
{
	HOLD_LOCK;
	bool is_proc = (!strncmp(path, "/proc/", 6) && !fake_drm_is_node(path)) ||
		       !strncmp(path, "proc/", 5);
	int r = fake_take_failure(is_proc ? FAKE_OPEN_PROC : FAKE_OPEN);

	(void)flags;
	if (r)
		return r;
	if (is_proc)
		return open_proc(path);
	if (faccessat(dir_fd, path, F_OK, 0))
		return -errno;
	fake.nr_opens++;
	if (fake_drm_is_node(path))
		return fake_drm_open(path);
	if (!strncmp(path, P2PDMA_EXPORT_DIR "/", 7))
		return fake_export_open();
	if (strstr(path, "/p2pmem/"))
		return fake_add_fd(eventfd(0, EFD_CLOEXEC), FAKE_P2PMEM);
	r = fake_memory_open(path);
	return r == -ENOENT ? fake_vfio_open(path) : r;
}

static int sys_access_at(int dir_fd, const char *path, int mode)
{
	(void)mode;
	if (faccessat(dir_fd, path, F_OK, 0))
		return -errno;
	return fake.access_errors;
}

static int sys_close(int fd)
{
	HOLD_LOCK;

	if (fake.kinds[fd] == FAKE_EXPORT && fake.event_fd >= 0) {
		close(fake.event_fd);
		fake.event_fd = -1;
	}
	if (fake.kinds[fd] == FAKE_DRM)
		fake_drm_close(fd);
	fake.kinds[fd] = FAKE_NONE;
	return close(fd) ? -errno : 0;
}

static int sys_dup(int fd)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_DUP);
	int copy;

	if (r)
		return r;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : fake_add_fd(copy, fake.kinds[fd]);
}

/* Ours, or one that came through a socket: by its name. */
bool fake_is_dmabuf(int fd)
{
	char path[32], name[32] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fake.kinds[fd] == FAKE_DMABUF ||
	       (readlink(path, name, sizeof(name) - 1) > 0 && !strncmp(name, "/memfd:dmabuf", 13));
}

int fake_make_dmabuf(uint64_t size)
{
	int fd = memfd_create("dmabuf", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fake_add_fd(fd, FAKE_DMABUF);
}

static int sys_ioctl(int fd, unsigned long request, void *argument)
{
	HOLD_LOCK;
	int r = fake_take_failure(request);

	if (r)
		return r;
	switch (fake.kinds[fd]) {
	case FAKE_EXPORT:
		return fake_export_ioctl(request, argument);
	case FAKE_HEAP:
	case FAKE_UDMABUF:
		return fake_memory_ioctl(fd, request, argument);
	case FAKE_UVERBS:
		return fake_verbs_ioctl(request, argument);
	case FAKE_DRM:
		return fake_drm_ioctl(fd, request, argument);
	default:
		return fake_vfio_ioctl(fd, request, argument);
	}
}

static ssize_t sys_read(int fd, void *data, size_t size)
{
	ssize_t n = read(fd, data, size);

	return n < 0 ? -errno : n;
}

static int sys_map(void *where, size_t length, int protection, int flags, int fd, uint64_t offset,
		   void **ret_address)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_MAP);
	void *address;

	if (r)
		return r;
	/* A VFIO device maps its BAR, which is region 0x200000000 of the fake. */
	if (fd >= 0 && fake_vfio_is_device(fd)) {
		fd = fake.bar_fd;
		offset -= FAKE_BAR_OFFSET;
	}
	/* Each mapping of a pool is other memory. */
	if (fd >= 0 && fake.kinds[fd] == FAKE_P2PMEM) {
		assert_int_equal(flags, MAP_SHARED);
		assert_int_equal(offset, 0);
		if (fake.is_gone)
			return -ENODEV;
		flags |= MAP_ANONYMOUS;
		fd = -1;
	}
	address = mmap(where, length, protection, flags, fd, (off_t)offset);
	if (address == MAP_FAILED)
		return -errno;
	*ret_address = address;
	return 0;
}

static int sys_unmap(void *address, size_t length)
{
	return munmap(address, length) ? -errno : 0;
}

static int sys_stat(int fd, struct stat *ret_status)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_STAT);

	if (r)
		return r;
	if (fd >= 0 && fake.kinds[fd] == FAKE_DRM)
		return fake_drm_stat(ret_status);
	return fstat(fd, ret_status) ? -errno : 0;
}

static int sys_fs_type(int fd, uint64_t *ret_type)
{
	HOLD_LOCK;

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	*ret_type = fake_is_dmabuf(fd) ? DMA_BUF_MAGIC : fake.fs_type;
	return 0;
}

static int sys_size(int fd, uint64_t *ret_size_bytes)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_SIZE);
	off_t end;

	if (r)
		return r;
	if (fake.kinds[fd] == FAKE_P2PMEM) {
		*ret_size_bytes = 1ULL << 40;
		return fake.is_gone ? -ENODEV : 0;
	}
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*ret_size_bytes = (uint64_t)end;
	return 0;
}

static int sys_access_mode(int fd)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_MODE);

	return r ? r : fcntl(fd, F_GETFL) & O_ACCMODE;
}

static int sys_limit(int resource, uint64_t *ret_limit)
{
	if (fake.rlimit_error)
		return fake.rlimit_error;
	*ret_limit = fake.limits[resource] ? fake.limits[resource] - 1 : UINT64_MAX;
	return 0;
}

static int sys_is_member(uint32_t group)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.groups); i++) {
		if (group && fake.groups[i] == group)
			return 1;
	}
	return 0;
}

const struct sys_ops fake_sys = {
	.open_at = sys_open_at,
	.access_at = sys_access_at,
	.close = sys_close,
	.dup = sys_dup,
	.ioctl = sys_ioctl,
	.read = sys_read,
	.pread = fake_vfio_pread,
	.pwrite = fake_vfio_pwrite,
	.map = sys_map,
	.unmap = sys_unmap,
	.stat = sys_stat,
	.fs_type = sys_fs_type,
	.size = sys_size,
	.access_mode = sys_access_mode,
	.memory = fake_memory_make,
	.limit = sys_limit,
	.is_member = sys_is_member,
};
