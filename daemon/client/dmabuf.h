/* SPDX-License-Identifier: MIT */
#ifndef DMABUF_H
#define DMABUF_H

#include <stdbool.h>

/* Is it a DMABUF? Asks nobody but the kernel itself. */
bool fd_is_dmabuf(int fd);

#endif /* DMABUF_H */
