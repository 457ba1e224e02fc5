// SPDX-License-Identifier: MIT
/*
 * The fake kernel's system memory: a heap and udmabuf, with the checks that the real
 * ones make of their arguments. Called under fake_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "fake.h"
#include "fake_memory.h"
#include "fake_vfio.h"

int fake_memory_open(const char *path)
{
	if (!strcmp(path, "dma_heap/system"))
		return fake_add_fd(eventfd(0, EFD_CLOEXEC), FAKE_HEAP);
	if (!strcmp(path, "udmabuf"))
		return fake_add_fd(eventfd(0, EFD_CLOEXEC), FAKE_UDMABUF);
	return -ENOENT;
}

static int heap_alloc(struct dma_heap_allocation_data *argument)
{
	if (argument->fd || argument->heap_flags || !argument->len ||
	    argument->fd_flags & ~(uint32_t)(O_CLOEXEC | O_ACCMODE))
		return -EINVAL;
	assert_true(argument->fd_flags & O_CLOEXEC);
	argument->fd = (uint32_t)fake_make_dmabuf(argument->len);
	return 0;
}

static int udmabuf_create(const struct udmabuf_create *argument)
{
	int seals = fcntl((int)argument->memfd, F_GET_SEALS);
	struct stat status;

	assert_int_equal(argument->flags, UDMABUF_FLAGS_CLOEXEC);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || seals & F_SEAL_WRITE)
		return -EINVAL;
	assert_int_equal(fstat((int)argument->memfd, &status), 0);
	if (argument->offset % 4096 || argument->size % 4096 ||
	    argument->size > (uint64_t)status.st_size || argument->size > 64 * MIB)
		return -EINVAL;
	return fake_make_dmabuf(argument->size);
}

int fake_memory_ioctl(int fd, unsigned long request, void *argument)
{
	if (fake.kinds[fd] == FAKE_HEAP && request == DMA_HEAP_IOCTL_ALLOC)
		return heap_alloc(argument);
	if (fake.kinds[fd] == FAKE_UDMABUF && request == UDMABUF_CREATE)
		return udmabuf_create(argument);
	return -ENOTTY;
}

int fake_memory_make(const char *name, uint64_t size_bytes)
{
	int r = fake_take_failure(FAKE_MEMORY);

	return r ? r : sys_real.memory(name, size_bytes);
}
