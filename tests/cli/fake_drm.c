// SPDX-License-Identifier: MIT
/*
 * For tests of p2pctl: a GPU whose driver tells how much memory it has, behind a render node that no
 * machine has. P2PCTL_TEST_VRAM is the number of bytes; without it there is no such node. The driver is
 * nouveau, whose question is the shortest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define RENDER_NODE   "dri/renderD191"
#define DRIVER	      "nouveau"
/* DRM_IOCTL_VERSION, and nouveau's for its parameters. */
#define NR_VERSION    0x00
#define NR_GETPARAM   0x40
#define PARAM_FB_SIZE 8

struct version {
	int numbers[3];
	size_t name_len;
	char *name;
};

struct getparam {
	unsigned long long param;
	unsigned long long value;
};

/* One after the other, and nothing else is the null device. */
static bool is_node(int fd)
{
	char link[32], target[32] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return getenv("P2PCTL_TEST_VRAM") && readlink(link, target, sizeof(target) - 1) > 0 &&
	       !strcmp(target, "/dev/null");
}

__attribute__((visibility("default"))) int openat(int dir_fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list arguments;

	va_start(arguments, flags);
	if (flags & O_CREAT)
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	if (!strcmp(path, RENDER_NODE) && getenv("P2PCTL_TEST_VRAM"))
		path = "/dev/null";
	return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

__attribute__((visibility("default"))) int fstat(int fd, struct stat *status)
{
	int r = fstatat(fd, "", status, AT_EMPTY_PATH);

	if (!r && is_node(fd))
		status->st_rdev = makedev(226, 191);
	return r;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	struct getparam *param;
	struct version *version;
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (!is_node(fd))
		return (int)syscall(SYS_ioctl, fd, request, argument);
	version = argument;
	param = argument;
	switch (request & 0xff) {
	case NR_VERSION:
		memcpy(version->name, DRIVER, strlen(DRIVER));
		version->name_len = strlen(DRIVER);
		return 0;
	case NR_GETPARAM:
		if (param->param == PARAM_FB_SIZE) {
			param->value = strtoull(getenv("P2PCTL_TEST_VRAM"), NULL, 0);
			return 0;
		}
		/* fall through */
	default:
		errno = ENOTTY;
		return -1;
	}
}
