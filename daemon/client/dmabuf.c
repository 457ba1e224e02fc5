// SPDX-License-Identifier: MIT
/*
 * Is a descriptor of somebody else's a DMABUF? fstat() and fstatfs() would call its file system, which
 * may never answer. It is read from its fdinfo. What is there the kernel writes
 * by itself, but for some files under a lock that others may hold for ever (an epoll descriptor whose
 * owner reads events into memory that never comes). Those are known by their names, which nobody can
 * choose for them, and aren't asked.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "dmabuf.h"

/*
 * Called like a DMABUF, and no device: without asking anybody but the kernel's caches. Files of file
 * systems can be called anything, but have nothing of their own in fdinfo.
 */
static bool may_be_dmabuf(int fd)
{
	static const char begin[] = "/dmabuf:";
	char path[48], name[sizeof(begin) - 1];
	struct statx status;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name)) != sizeof(name) ||
	    memcmp(name, begin, sizeof(name)) ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &status))
		return false;
	return !S_ISCHR(status.stx_mode) && !S_ISBLK(status.stx_mode);
}

bool fd_is_dmabuf(int fd)
{
	cleanup_fd int info_fd = -1;
	char path[48], text[1024];
	ssize_t n;

	if (!may_be_dmabuf(fd))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info_fd = open(path, O_RDONLY | O_CLOEXEC);
	n = info_fd < 0 ? -1 : read(info_fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, "\nexp_name:") != NULL;
}
