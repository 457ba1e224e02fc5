// SPDX-License-Identifier: MIT
/*
 * The stand-ins for GPU runtimes as unit tests use them: one device each, whose memory has bytes
 * that are different everywhere, and allocations in it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_runtime.h"
#include "runtime/cuda_abi.h"
#include "runtime/hsa_abi.h"
#include "runtime/ze_abi.h"

struct runtime_kind runtime_kinds[NR_RUNTIMES] = {
	{P2PDMA_BACKEND_CUDA, "cuda", "libcuda.so.1", "standin_cuda", CUDA_MEMORY_DEVICE,
	 CUDA_MEMORY_HOST, NULL, NULL},
	{P2PDMA_BACKEND_HSA, "hsa", "libhsa-runtime64.so.1", "standin_hsa", HSA_POINTER_HSA,
	 HSA_POINTER_LOCKED, NULL, NULL},
	{P2PDMA_BACKEND_ZE, "ze", "libze_loader.so.1", "standin_ze", ZE_MEMORY_DEVICE,
	 ZE_MEMORY_SHARED, NULL, NULL},
};

void (*runtime_cuda_current)(int device);
void *runtime_ze_context;
bool runtime_is_truncated;

static uint8_t device[RUNTIME_DEVICE_BYTES];
static pthread_once_t is_filled = PTHREAD_ONCE_INIT;

/* No two pages are alike, and no two places next to each other. */
static void fill_device(void)
{
	for (uint64_t i = 0; i < sizeof(device); i++)
		device[i] = (uint8_t)(i * 7 + i / 4096 * 31 + i / MIB);
}

/* A DMABUF of a piece of device memory, for stand-ins: the fake knows them by their name. */
int runtime_make(uint64_t offset, uint64_t size)
{
	int fd = memfd_create("dmabuf", 0);

	pthread_once(&is_filled, fill_device);
	assert_true(offset + size <= RUNTIME_DEVICE_BYTES);
	assert_int_equal(write(fd, device + offset, size), size);
	if (runtime_is_truncated)
		assert_int_equal(ftruncate(fd, 4096), 0);
	return fd;
}

int runtime_make_file(uint64_t offset, uint64_t size)
{
	(void)offset;
	(void)size;
	return memfd_create("something", 0);
}

void runtime_load_all(void)
{
	for_each_runtime(kind) {
		struct standin *(*get)(void);

		kind->library = dlopen(kind->soname, RTLD_NOW | RTLD_LOCAL);
		if (!kind->library)
			fail_msg("%s", dlerror());
		*(void **)&get = dlsym(kind->library, kind->getter);
		assert_non_null(get);
		kind->standin = get();
	}
	*(void **)&runtime_cuda_current = dlsym(runtime_kinds[0].library, "standin_cuda_current");
	runtime_ze_context =
		((void *(*)(void))dlsym(runtime_kinds[2].library, "standin_ze_context"))();
}

struct standin_memory *runtime_allocate(struct runtime_kind *kind, uint64_t offset, uint64_t size)
{
	struct standin *standin = kind->standin;
	struct standin_memory *memory = &standin->memories[standin->nr_memories++];
	uint64_t where = (uint64_t)(kind - runtime_kinds) << 40;

	*memory = (struct standin_memory){
		.base = 0x7f0000000000ULL + where + offset,
		.size_bytes = size,
		.offset_bytes = offset,
		.type = kind->device_type,
		.has_owner = true,
	};
	return memory;
}

int runtime_setup(void **state)
{
	fake_setup(state);
	fake.exporter = "p2pdma_export";
	runtime_is_truncated = false;
	for_each_runtime(kind) {
		if (!kind->standin)
			continue;
		*kind->standin = (struct standin){
			.device_bytes = RUNTIME_DEVICE_BYTES,
			.is_initialized = true,
			.make = runtime_make,
			.kept_fd = -1,
		};
	}
	if (runtime_cuda_current)
		runtime_cuda_current(-1);
	return 0;
}

int runtime_new(const struct runtime_kind *kind, uint64_t address, uint64_t length, uint32_t flags,
		struct p2pdma_buffer **ret_buffer, uint64_t *ret_offset)
{
	struct p2pdma_pointer_options options = P2PDMA_POINTER_OPTIONS_INIT;

	options.backend = kind ? kind->backend : P2PDMA_BACKEND_AUTO;
	options.flags = flags;
	options.user_data = &fake;
	options.runtime_context = runtime_ze_context;
	return p2pdma_buffer_new_pointer(fake_context(), (const void *)(uintptr_t)address, length,
					 &options, ret_buffer, ret_offset);
}

/* Tries it; nothing may be left open, whatever the answer. */
int runtime_try(const struct runtime_kind *kind, uint64_t address, uint64_t length, uint32_t flags)
{
	struct p2pdma_buffer *buffer = NULL;
	uint64_t offset = 77;
	int before = count_fds();
	int r = runtime_new(kind, address, length, flags, &buffer, &offset);

	assert_true(!r == !!buffer);
	assert_true(!r || offset == 77);
	p2pdma_buffer_free(buffer);
	assert_int_equal(count_fds(), before);
	return r;
}

/* The bytes of the buffer from @offset on are those of device memory from @device_offset on. */
bool runtime_has_bytes(struct p2pdma_buffer *buffer, uint64_t offset, uint64_t device_offset,
		       uint64_t length)
{
	uint64_t size = p2pdma_buffer_size_bytes(buffer);
	bool is_same;
	uint8_t *bytes;

	assert_int_equal(p2pdma_buffer_map(buffer, 0, size, P2PDMA_MAP_READ, (void **)&bytes), 0);
	is_same = !memcmp(bytes + offset, device + device_offset, length);
	assert_int_equal(p2pdma_buffer_unmap(buffer, bytes), 0);
	return is_same;
}
