// SPDX-License-Identifier: MIT
/*
 * The other half of the stand-in for libcuda.so.1: a device for programs that know nothing of
 * stand-ins. Its memory is a memfd that is mapped into the program, and a piece of it becomes a
 * DMABUF by udmabuf, so what a NIC does to it is seen by copies. Memory is never given again.
 * One thread.
 */
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/cuda_abi.h"
#include "standin.h"

#define DEVICE_BYTES (16U << 20)
/* Small allocations of the real one share pages, too. */
#define ALIGNMENT    256U

int cuInit(unsigned int flags);
int cuMemAlloc_v2(uint64_t *pointer, size_t size);
int cuMemFree_v2(uint64_t pointer);
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size);
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size);

static int memory_fd = -1;
static uint8_t *memory;
static size_t used_bytes;

static int make(uint64_t offset, uint64_t size)
{
	struct udmabuf_create create = {
		.memfd = (uint32_t)memory_fd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd = device < 0 ? -1 : ioctl(device, UDMABUF_CREATE, &create);

	if (device >= 0)
		close(device);
	return fd;
}

int cuInit(unsigned int flags)
{
	struct standin *standin = standin_cuda();
	void *mapped;

	if (flags)
		return CUDA_INVALID_VALUE;
	if (memory)
		return 0;
	memory_fd = memfd_create("standin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory_fd < 0 || ftruncate(memory_fd, DEVICE_BYTES) ||
	    fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return CUDA_OUT_OF_MEMORY;
	mapped = mmap(NULL, DEVICE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	if (mapped == MAP_FAILED)
		return CUDA_OUT_OF_MEMORY;
	memory = mapped;
	standin->is_initialized = true;
	standin->make = make;
	return 0;
}

int cuMemAlloc_v2(uint64_t *pointer, size_t size)
{
	struct standin *standin = standin_cuda();
	size_t nr_memories = standin->nr_memories;

	if (!memory || !size || size > DEVICE_BYTES - used_bytes ||
	    nr_memories == sizeof(standin->memories) / sizeof(standin->memories[0]))
		return CUDA_OUT_OF_MEMORY;
	standin->memories[nr_memories] = (struct standin_memory){
		.base = (uintptr_t)memory + used_bytes,
		.size_bytes = size,
		.offset_bytes = used_bytes,
		.type = CUDA_MEMORY_DEVICE,
		.has_owner = true,
	};
	*pointer = standin->memories[nr_memories].base;
	standin->nr_memories++;
	used_bytes += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return 0;
}

int cuMemFree_v2(uint64_t pointer)
{
	struct standin_memory *found = standin_find(standin_cuda(), pointer);

	if (!found || found->base != pointer)
		return CUDA_INVALID_VALUE;
	found->size_bytes = 0;
	return 0;
}

static bool is_inside(uint64_t pointer, size_t size)
{
	const struct standin_memory *found = standin_find(standin_cuda(), pointer);

	return found && size <= found->size_bytes - (pointer - found->base);
}

int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size)
{
	if (!is_inside(to, size))
		return CUDA_INVALID_VALUE;
	memcpy((void *)(uintptr_t)to, from, size);
	return 0;
}

int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size)
{
	if (!is_inside(from, size))
		return CUDA_INVALID_VALUE;
	memcpy(to, (const void *)(uintptr_t)from, size);
	return 0;
}
