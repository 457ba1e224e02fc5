/* SPDX-License-Identifier: MIT */
#ifndef FAKE_VFIO_H
#define FAKE_VFIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fake.h"

#define FAKE_BAR_OFFSET	   0x200000000ULL
#define FAKE_CONFIG_OFFSET 0x700000000ULL

/* What the fake iommufd has, and where it puts what may be anywhere. */
#define FAKE_IOAS	   7U
#define FAKE_IOVA	   0x123000ULL
#define FAKE_IOVA_LAST	   0xffffffffffULL

int fake_add_fd(int fd, enum fake_kind kind);
int fake_make_dmabuf(uint64_t size);

int fake_vfio_open(const char *path);
int fake_vfio_ioctl(int fd, unsigned long request, void *argument);
ssize_t fake_vfio_pread(int fd, void *data, size_t size, uint64_t offset);
ssize_t fake_vfio_pwrite(int fd, const void *data, size_t size, uint64_t offset);
bool fake_vfio_is_device(int fd);

/* Memory decode of the fake function. */
bool fake_vfio_is_decoding(void);

#endif /* FAKE_VFIO_H */
