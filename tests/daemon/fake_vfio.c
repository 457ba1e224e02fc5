// SPDX-License-Identifier: MIT
/*
 * The kernel's side of VFIO where discovery is tested: the linker puts this in the place of the seam to
 * the kernel (common/sys.h) that p2pd opens functions through.
 *
 * The character device of a function is a file of its name in $P2PD_FAKE_NODES, and stands for its
 * configuration space, too. Who has it open has it locked, as the kernel lets a device be opened once: a
 * lock belongs to the open file, whoever keeps a copy of its descriptor. Opening waits while there
 * is a file "hold-open", closing while there is "hold-close", and each opening fails while there is
 * "refuse". A DMABUF is a memfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/sys.h"
#include "common/vfio_abi.h"

static void node_path(const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", getenv("P2PD_FAKE_NODES"), name);
}

static bool is_there(const char *name)
{
	char path[256];

	node_path(name, path, sizeof(path));
	return access(path, F_OK) == 0;
}

static void wait_while(const char *name)
{
	while (is_there(name))
		usleep(2000);
}

/* "vfio/devices/vfio3": "vfio3". */
static const char *node_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_device(int fd)
{
	char link[64], target[256] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, target, sizeof(target) - 1) > 0 &&
	       !strncmp(node_of(target), "vfio", 4);
}

static int fake_access_at(int dir_fd, const char *path, int mode)
{
	(void)dir_fd;
	(void)mode;
	return !strcmp(path, "iommu") || is_there(node_of(path)) ? 0 : -ENOENT;
}

static int fake_open_at(int dir_fd, const char *path, int flags)
{
	char node[256];
	int fd;

	(void)dir_fd;
	if (!strcmp(path, "iommu"))
		return memfd_create("iommu", MFD_CLOEXEC);
	wait_while("hold-open");
	node_path(node_of(path), node, sizeof(node));
	fd = is_there("refuse") ? -1 : open(node, flags | O_CLOEXEC);
	if (fd < 0)
		return is_there("refuse") ? -EIO : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	close(fd);
	return -EBUSY;
}

static int fake_close(int fd)
{
	if (is_device(fd))
		wait_while("hold-close");
	return close(fd) < 0 ? -errno : 0;
}

static int get_dma_buf(void *argument)
{
	const struct vfio_abi_dma_buf *head = argument;
	const struct vfio_abi_dma_range *ranges = (const void *)(head + 1);
	off_t size = 0;
	int fd;

	if (head->feature_flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	for (uint32_t i = 0; i < head->nr_ranges; i++)
		size += (off_t)ranges[i].length;
	fd = memfd_create("fake-dmabuf", MFD_CLOEXEC);
	return fd < 0 || ftruncate(fd, size) ? -errno : fd;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	struct vfio_region_info *info = argument;

	(void)fd;
	switch (request) {
	case VFIO_ABI_BIND_IOMMUFD:
	case VFIO_DEVICE_SET_IRQS:
		return 0;
	case VFIO_DEVICE_FEATURE:
		return get_dma_buf(argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		info->offset = 0;
		return 0;
	default:
		return -ENOTTY;
	}
}

static ssize_t fake_pread(int fd, void *data, size_t size, uint64_t offset)
{
	ssize_t n = pread(fd, data, size, (off_t)offset);

	return n < 0 ? -errno : n;
}

static ssize_t fake_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
	ssize_t n = pwrite(fd, data, size, (off_t)offset);

	return n < 0 ? -errno : n;
}

/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
extern const struct sys_ops __wrap_sys_real;

/* What isn't here isn't called for VFIO. NOLINTNEXTLINE(bugprone-reserved-identifier) */
const struct sys_ops __wrap_sys_real = {
	.open_at = fake_open_at,
	.access_at = fake_access_at,
	.close = fake_close,
	.ioctl = fake_ioctl,
	.pread = fake_pread,
	.pwrite = fake_pwrite,
};
