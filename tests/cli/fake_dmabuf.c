// SPDX-License-Identifier: MIT
/*
 * For tests of p2pctl where the kernel makes no DMABUF: what the emulated p2pd hands out is one. A
 * function of the program comes before libc's, for the library's calls too.
 */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

__attribute__((visibility("default"))) int fstatfs(int fd, struct statfs *ret_status)
{
	static const char emulated[] = "/memfd:emulated-dmabuf";
	char path[32], name[48] = "";
	int r = (int)syscall(SYS_fstatfs, fd, ret_status);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!r && readlink(path, name, sizeof(name) - 1) > 0 &&
	    !strncmp(name, emulated, sizeof(emulated) - 1))
		ret_status->f_type = DMA_BUF_MAGIC;
	return r;
}
