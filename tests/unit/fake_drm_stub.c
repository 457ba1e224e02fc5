// SPDX-License-Identifier: MIT
/* The fake kernel without DRM, where libdrm's headers aren't. */
#include <errno.h>

#include "fake_drm.h"

bool fake_drm_is_node(const char *path)
{
	(void)path;
	return false;
}

int fake_drm_open(const char *path)
{
	(void)path;
	return -ENXIO;
}

int fake_drm_ioctl(int fd, unsigned long request, void *argument)
{
	(void)fd;
	(void)request;
	(void)argument;
	return -ENOTTY;
}

int fake_drm_stat(struct stat *ret_status)
{
	(void)ret_status;
	return -ENXIO;
}

void fake_drm_close(int fd)
{
	(void)fd;
}
