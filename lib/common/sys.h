/* SPDX-License-Identifier: MIT */
#ifndef COMMON_SYS_H
#define COMMON_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * The seam to the kernel. There is one real table; unit tests bring another and
 * play the kernel, also in ways that a real one rarely does.
 * Everything returns 0, a non-negative value or -errno.
 */
struct sys_ops {
	int (*open_at)(int dir_fd, const char *path, int flags);
	int (*access_at)(int dir_fd, const char *path, int mode);
	int (*close)(int fd);
	int (*dup)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *argument);
	ssize_t (*read)(int fd, void *data, size_t size);
	ssize_t (*pread)(int fd, void *data, size_t size, uint64_t offset);
	ssize_t (*pwrite)(int fd, const void *data, size_t size, uint64_t offset);
	int (*map)(void *where, size_t length, int protection, int flags, int fd, uint64_t offset,
		   void **ret_address);
	int (*unmap)(void *address, size_t length);
	int (*stat)(int fd, struct stat *ret_status);
	int (*fs_type)(int fd, uint64_t *ret_type);
	int (*size)(int fd, uint64_t *ret_size_bytes);
	int (*access_mode)(int fd);			      /* O_RDONLY, O_WRONLY or O_RDWR */
	int (*memory)(const char *name, uint64_t size_bytes); /* a memfd that never shrinks */
	/* RLIMIT_*: what may be used at most; UINT64_MAX: as much as there is. */
	int (*limit)(int resource, uint64_t *ret_limit);
	int (*is_member)(uint32_t group); /* is this process in it? 1 or 0 */
};

extern const struct sys_ops sys_real;

/* The kernel's own, which is in no header for programs; drivers let it through. */
#ifndef ENOTSUPP
#define ENOTSUPP 524
#endif

/* "EINVAL" for -EINVAL. */
const char *error_name(int error);

#endif /* COMMON_SYS_H */
