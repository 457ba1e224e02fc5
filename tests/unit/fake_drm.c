// SPDX-License-Identifier: MIT
/*
 * DRM as the fake kernel plays it: nodes, files, handles, PRIME and fdinfo. What differs from
 * driver to driver is in fake_drm_driver.c. All under the fake kernel's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <drm.h>

#include "fake_drm.h"
#include "fake_vfio.h"

struct fake_drm fake_drm;

#define FUNCTION_DIR "sys/bus/pci/devices/" FAKE_DRM_FUNCTION

void fake_drm_add(const char *driver)
{
	memset(&fake_drm, 0, sizeof(fake_drm));
	fake_drm.driver = driver;
	fake_mkdir("dev/dri");
	fake_write("dev/" FAKE_DRM_RENDER, "");
	fake_write("dev/" FAKE_DRM_PRIMARY, "");
	fake_mkdir("sys/dev/char");
	if (!strcmp(driver, "vgem")) {
		fake_link("../../devices/faux/vgem/drm/card0", "sys/dev/char/226:128");
		return;
	}
	fake_add_function(FAKE_DRM_FUNCTION, driver);
	fake_mkdir(FUNCTION_DIR "/drm/renderD128");
	fake_link("../../devices/pci0000:40/0000:40:01.0/" FAKE_DRM_FUNCTION "/drm/renderD128",
		  "sys/dev/char/226:128");
}

int fake_drm_node(const char *path)
{
	int fd = fake_sys.open_at(fake_context()->dev_fd, path, O_RDWR);

	assert_true(fd >= 0);
	return fd;
}

struct fake_gem *fake_drm_last(void)
{
	assert_true(fake_drm.nr_objects);
	return &fake_drm.objects[fake_drm.nr_objects - 1];
}

uint32_t fake_drm_nr_handles(void)
{
	uint32_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fake_drm.handles); i++)
		count += fake_drm.handles[i].handle != 0;
	return count;
}

static int handle_add(int fd, struct fake_gem *object, uint32_t *ret_handle)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake_drm.handles); i++) {
		if (fake_drm.handles[i].handle)
			continue;
		/* One number in the whole machine, so that none is good in another file. */
		fake_drm.handles[i].handle = ++fake_drm.last_handle;
		fake_drm.handles[i].fd = fd;
		fake_drm.handles[i].object = object;
		object->nr_handles++;
		*ret_handle = fake_drm.last_handle;
		return 0;
	}
	return -ENOMEM;
}

struct fake_gem *fake_drm_find(int fd, uint32_t handle)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake_drm.handles); i++) {
		if (handle && fake_drm.handles[i].handle == handle && fake_drm.handles[i].fd == fd)
			return fake_drm.handles[i].object;
	}
	return NULL;
}

int fake_drm_make(int fd, uint64_t size_bytes, uint32_t wanted, uint32_t *ret_handle)
{
	bool has_room = !fake_drm.is_full && !fake_drm.is_integrated && size_bytes <= FAKE_DRM_VRAM;
	struct fake_gem *object = &fake_drm.objects[fake_drm.nr_objects];

	assert_true(fake_drm.nr_objects < FAKE_DRM_MAX);
	memset(object, 0, sizeof(*object));
	object->size_bytes = size_bytes;
	object->allowed = wanted;
	object->is_made = true;
	if (wanted & FAKE_PLACE_DEVICE && has_room)
		object->place = FAKE_PLACE_DEVICE;
	else if (wanted & FAKE_PLACE_SYSTEM)
		object->place = FAKE_PLACE_SYSTEM;
	else
		return -ENOSPC;
	fake_drm.nr_objects++;
	return handle_add(fd, object, ret_handle);
}

static int gem_close(int fd, uint32_t handle)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake_drm.handles); i++) {
		if (!handle || fake_drm.handles[i].handle != handle || fake_drm.handles[i].fd != fd)
			continue;
		fake_drm.handles[i].handle = 0;
		fake_drm.handles[i].object->nr_handles--;
		return 0;
	}
	return -EINVAL;
}

static int reopen_read_only(int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = fake_add_fd(open(path, O_RDONLY | O_CLOEXEC), FAKE_DMABUF);
	fake.kinds[fd] = FAKE_NONE;
	close(fd);
	return again;
}

static int handle_to_fd(int fd, struct drm_prime_handle *prime)
{
	struct fake_gem *object = fake_drm_find(fd, prime->handle);
	struct stat status;

	if (prime->flags & ~((uint32_t)DRM_CLOEXEC | (uint32_t)DRM_RDWR))
		return -EINVAL;
	if (!object)
		return -ENOENT;
	if (object->is_unshareable)
		return -EPERM;
	assert_true(prime->flags & DRM_CLOEXEC);
	/* An object has one DMABUF: how that is open the first export has decided. */
	if (!object->inode)
		object->is_read_only = !(prime->flags & DRM_RDWR);
	prime->fd = fake_make_dmabuf(object->size_bytes);
	if (object->is_read_only)
		prime->fd = reopen_read_only(prime->fd);
	assert_int_equal(fstat(prime->fd, &status), 0);
	object->inode = status.st_ino;
	return 0;
}

static int fd_to_handle(int fd, struct drm_prime_handle *prime)
{
	struct stat status;

	if (fstat(prime->fd, &status))
		return -EBADF;
	for (uint32_t i = 0; i < fake_drm.nr_objects; i++) {
		struct fake_gem *object = &fake_drm.objects[i];

		if (object->inode == status.st_ino)
			return handle_add(fd, object, &prime->handle);
	}
	/* Of another exporter: a dynamic importer takes it. */
	if (!strcmp(fake_drm.driver, "amdgpu"))
		return fake_drm_make(fd, (uint64_t)status.st_size, FAKE_PLACE_SYSTEM,
				     &prime->handle);
	return -EOPNOTSUPP;
}

static int version(struct drm_version *argument)
{
	size_t length = strlen(fake_drm.driver);

	/* As the kernel copies: as much as there is room for, without a NUL. */
	memcpy(argument->name, fake_drm.driver,
	       length < argument->name_len ? length : argument->name_len);
	argument->name_len = length;
	return 0;
}

static int drop_master(int fd)
{
	if (!fake_drm.is_primary[fd])
		return -EACCES;
	if (fake_drm.master_fd != fd)
		return -EINVAL;
	fake_drm.master_fd = 0;
	return 0;
}

int fake_drm_ioctl(int fd, unsigned long request, void *argument)
{
	switch (request) {
	case DRM_IOCTL_DROP_MASTER:
		return drop_master(fd);
	case DRM_IOCTL_VERSION:
		return version(argument);
	case DRM_IOCTL_GEM_CLOSE:
		return gem_close(fd, ((struct drm_gem_close *)argument)->handle);
	case DRM_IOCTL_PRIME_HANDLE_TO_FD:
		return handle_to_fd(fd, argument);
	case DRM_IOCTL_PRIME_FD_TO_HANDLE:
		return fd_to_handle(fd, argument);
	default:
		return fake_drm_driver_ioctl(fd, request, argument);
	}
}

int fake_drm_stat(struct stat *ret_status)
{
	memset(ret_status, 0, sizeof(*ret_status));
	ret_status->st_mode = S_IFCHR | 0660;
	ret_status->st_rdev = makedev(226, 128);
	return 0;
}

static uint64_t resident(int fd, uint32_t place)
{
	uint64_t bytes = place == FAKE_PLACE_SYSTEM ? fake_drm.empty_bytes : 4096;

	for (size_t i = 0; i < ARRAY_SIZE(fake_drm.handles); i++) {
		const struct fake_gem *object = fake_drm.handles[i].object;

		if (fake_drm.handles[i].handle && fake_drm.handles[i].fd == fd && object->is_made &&
		    object->place == place)
			bytes += object->size_bytes;
	}
	return bytes;
}

static int open_usage(int fd)
{
	unsigned long long device = resident(fd, FAKE_PLACE_DEVICE) / 1024;
	unsigned long long system = resident(fd, FAKE_PLACE_SYSTEM) / 1024;
	int text = memfd_create("fdinfo", MFD_CLOEXEC);

	dprintf(text, "pos:\t0\nflags:\t02100002\ndrm-driver:\t%s\ndrm-client-id:\t7\n",
		fake_drm.driver);
	if (fake_drm.is_silent)
		;
	else if (!strcmp(fake_drm.driver, "amdgpu"))
		dprintf(text,
			"drm-total-vram:\t9 GiB\ndrm-resident-vram:\t%llu KiB\n"
			"drm-resident-gtt:\t%llu KiB\ndrm-resident-cpu:\t0\n"
			"drm-resident-doorbell:\t1 MiB\ndrm-memory-vram:\t%llu KiB\n"
			"drm-memory-gtt: \t%llu KiB\n",
			device, system, device, system);
	else if (!strcmp(fake_drm.driver, "xe"))
		dprintf(text,
			"drm-total-vram0:\t%llu KiB\ndrm-resident-vram0:\t%llu KiB\n"
			"drm-resident-gtt:\t%llu KiB\ndrm-resident-system:\t0\n",
			device, device, system);
	else if (!strcmp(fake_drm.driver, "i915"))
		dprintf(text,
			"drm-resident-system0:\t%llu KiB\ndrm-resident-local0:\t%llu KiB\n"
			"drm-resident-stolen-local0:\t0\n",
			system, device);
	lseek(text, 0, SEEK_SET);
	return fake_add_fd(text, FAKE_NONE);
}

static int fd_of(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	int fd = strncmp(path, directory, length) ? -1 : atoi(path + length);

	return fd >= 0 && fd < FAKE_MAX_FDS && fake.kinds[fd] == FAKE_DRM ? fd : -1;
}

bool fake_drm_is_node(const char *path)
{
	return !strncmp(path, "dri/", 4) || fd_of(path, "/proc/self/fd/") >= 0 ||
	       fd_of(path, "/proc/self/fdinfo/") >= 0;
}

int fake_drm_open(const char *path)
{
	int fd = fd_of(path, "/proc/self/fdinfo/"), same = fd_of(path, "/proc/self/fd/");

	if (fd >= 0)
		return open_usage(fd);
	fake_drm.nr_files++;
	fd = fake_add_fd(eventfd(0, EFD_CLOEXEC), FAKE_DRM);
	fake_drm.is_primary[fd] =
		same >= 0 ? fake_drm.is_primary[same] : !strcmp(path, FAKE_DRM_PRIMARY);
	/* drm_master_open(): who opens a primary node without a master is it. */
	if (fake_drm.is_primary[fd] && !fake_drm.master_fd)
		fake_drm.master_fd = fd;
	return fd;
}

void fake_drm_close(int fd)
{
	fake_drm.nr_files--;
	if (fake_drm.master_fd == fd)
		fake_drm.master_fd = 0;
	for (size_t i = 0; i < ARRAY_SIZE(fake_drm.handles); i++) {
		if (fake_drm.handles[i].fd == fd)
			gem_close(fd, fake_drm.handles[i].handle);
	}
}
