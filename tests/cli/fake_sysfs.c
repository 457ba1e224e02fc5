// SPDX-License-Identifier: MIT
/*
 * For tests of p2pctl's bind and unbind: a sysfs of files that does what the kernel does when
 * something is written. Only in P2PCTL_SYSFS; a driver named in P2PCTL_TEST_REFUSES takes nothing,
 * and the one in P2PCTL_TEST_DEFAULT is what the kernel chooses without an override. P2PCTL_TEST_ROOT is
 * a folder in place of "/", for what is read below /proc and /etc.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void link_driver(const char *root, const char *function, const char *driver)
{
	const char *refuses = getenv("P2PCTL_TEST_REFUSES");
	char link[PATH_MAX], target[PATH_MAX];

	if (!driver || !*driver || (refuses && !strcmp(refuses, driver)))
		return;
	snprintf(link, sizeof(link), "%s/bus/pci/devices/%s/driver", root, function);
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	if (symlink(target, link))
		abort();
}

static void probe(const char *root, const char *function)
{
	char path[PATH_MAX], override[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver", root, function);
	if (!access(path, F_OK))
		return;
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver_override", root, function);
	file = fopen(path, "r");
	if (!file || !fgets(override, sizeof(override), file))
		override[0] = '\0';
	if (file)
		fclose(file);
	override[strcspn(override, "\n")] = '\0';
	if (!strcmp(override, "(null)"))
		override[0] = '\0';
	link_driver(root, function, *override ? override : getenv("P2PCTL_TEST_DEFAULT"));
}

static void react(const char *root, const char *path, const char *text)
{
	const char *name = strrchr(path, '/') + 1;
	char other[PATH_MAX];

	if (!strcmp(name, "drivers_probe")) {
		probe(root, text);
	} else if (!strcmp(name, "unbind")) {
		snprintf(other, sizeof(other), "%s/bus/pci/devices/%s/driver", root, text);
		unlink(other);
	} else if (!strcmp(name, "bind")) {
		snprintf(other, sizeof(other), "%.*s", (int)(name - 1 - path), path);
		link_driver(root, text, strrchr(other, '/') + 1);
	}
}

/* The library's own sysfs and processor, too. */
__attribute__((visibility("default"))) int open(const char *path, int flags, ...)
{
	const char *root = getenv("P2PCTL_SYSFS"), *top = getenv("P2PCTL_TEST_ROOT");
	char cpuinfo[PATH_MAX];
	mode_t mode = 0;
	va_list arguments;

	va_start(arguments, flags);
	if (flags & O_CREAT)
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	if (top && !strcmp(path, "/")) {
		path = top;
	} else if (root && !strcmp(path, "/sys")) {
		path = root;
	} else if (root && !strcmp(path, "/proc/cpuinfo")) {
		snprintf(cpuinfo, sizeof(cpuinfo), "%s/cpuinfo", root);
		path = cpuinfo;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

__attribute__((visibility("default"))) ssize_t write(int fd, const void *data, size_t size)
{
	const char *root = getenv("P2PCTL_SYSFS");
	char link[32], path[PATH_MAX] = "", text[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (!root || size >= sizeof(text) || readlink(link, path, sizeof(path) - 1) < 0 ||
	    strncmp(path, root, strlen(root)))
		return syscall(SYS_write, fd, data, size);
	/* An attribute is replaced, not overwritten. */
	if (ftruncate(fd, 0))
		return -1;
	n = syscall(SYS_write, fd, data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	react(root, path, text);
	return n;
}
