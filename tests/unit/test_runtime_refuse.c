// SPDX-License-Identifier: MIT
/*
 * What a DMABUF is not made of: memory that isn't where the caller thinks, that is the
 * machine's, or that a runtime gives wrongly.
 */
#include <errno.h>
#include <string.h>

#include "fake_runtime.h"
#include "runtime/runtime.h"
#include "runtime/cuda_abi.h"
#include "runtime/hsa_abi.h"
#include "runtime/ze_abi.h"

static void pointer_outside_einval(void **state)
{
	(void)state;
	for_each_runtime(kind) {
		struct standin_memory *memory = runtime_allocate(kind, MIB, MIB);

		assert_int_equal(runtime_try(kind, memory->base, MIB + 1, 0), -EINVAL);
		assert_cause("aren't inside the allocation");
		assert_int_equal(runtime_try(kind, memory->base + MIB - 1, 2, 0), -EINVAL);
		assert_int_equal(runtime_try(kind, memory->base + 5, UINT64_MAX - 4, 0), -EINVAL);
		assert_int_equal(runtime_try(kind, memory->base + MIB, 1, 0), -ENOENT);
		assert_int_equal(runtime_try(kind, memory->base - 1, 1, 0), -ENOENT);
		assert_int_equal(kind->standin->nr_exports, 0);
	}
}

static void pointer_bad_arguments_einval(void **state)
{
	struct p2pdma_pointer_options options = P2PDMA_POINTER_OPTIONS_INIT;
	uint64_t address = runtime_allocate(&runtime_kinds[0], MIB, MIB)->base, offset;
	const void *pointer = (const void *)(uintptr_t)address;
	struct {
		struct p2pdma_pointer_options options;
		uint64_t future;
	} big = {P2PDMA_POINTER_OPTIONS_INIT, 1};
	struct p2pdma_buffer *buffer = NULL;

	assert_int_equal(runtime_try(NULL, 0, 16, 0), -EINVAL);
	assert_int_equal(runtime_try(NULL, address, 0, 0), -EINVAL);
	assert_int_equal(runtime_try(NULL, UINT64_MAX - 10, 11, 0), -EINVAL);
	assert_int_equal(runtime_try(NULL, address, UINT64_MAX, 0), -EINVAL);
	assert_cause("address space");
	assert_int_equal(runtime_try(NULL, address, 16, 1U << 31), -EINVAL);
	assert_int_equal(runtime_try(NULL, address, 16, P2PDMA_BUFFER_ALLOW_UNREVOCABLE),
			 -EOPNOTSUPP);
	options.backend = P2PDMA_BACKEND_HEAP;
	assert_int_equal(p2pdma_buffer_new_pointer(*state, pointer, 1, &options, &buffer, &offset),
			 -EINVAL);
	assert_cause("is no runtime's");
	options.backend = 0;
	options.reserved = 1;
	assert_int_equal(p2pdma_buffer_new_pointer(*state, pointer, 1, &options, &buffer, &offset),
			 -EINVAL);
	options.reserved = 0;
	options.size_bytes = 4;
	assert_int_equal(p2pdma_buffer_new_pointer(*state, pointer, 1, &options, &buffer, &offset),
			 -EINVAL);
	big.options.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_buffer_new_pointer(*state, pointer, 1, &big.options, &buffer,
						   &offset),
			 -E2BIG);
	assert_int_equal(p2pdma_buffer_new_pointer(NULL, pointer, 1, NULL, &buffer, &offset),
			 -EINVAL);
	assert_int_equal(p2pdma_buffer_new_pointer(*state, pointer, 1, NULL, NULL, &offset),
			 -EINVAL);
	assert_int_equal(p2pdma_buffer_new_pointer(*state, pointer, 1, NULL, &buffer, NULL),
			 -EINVAL);
	assert_null(buffer);
}

static void ze_without_context_einval(void **state)
{
	struct p2pdma_pointer_options options = P2PDMA_POINTER_OPTIONS_INIT;
	void *address = (void *)(uintptr_t)runtime_allocate(&runtime_kinds[2], MIB, MIB)->base;
	struct p2pdma_buffer *buffer = NULL;
	uint64_t offset;

	options.backend = P2PDMA_BACKEND_ZE;
	assert_int_equal(p2pdma_buffer_new_pointer(*state, address, 1, &options, &buffer, &offset),
			 -EINVAL);
	assert_cause("runtime_context");
	/* Another context of the program doesn't know the memory. */
	options.runtime_context = &options;
	assert_int_equal(p2pdma_buffer_new_pointer(*state, address, 1, &options, &buffer, &offset),
			 -ENOENT);
}

static void pointer_system_memory_needs_leave(void **state)
{
	(void)state;
	for_each_runtime(kind) {
		struct standin_memory *memory = runtime_allocate(kind, MIB, MIB);

		memory->type = kind->system_type;
		assert_int_equal(runtime_try(kind, memory->base, 100, 0), -EOPNOTSUPP);
		assert_cause("P2PDMA_BUFFER_ALLOW_SYSTEM");
		assert_int_equal(kind->standin->nr_exports, 0);
		assert_int_equal(runtime_try(kind, memory->base, 100, P2PDMA_BUFFER_ALLOW_SYSTEM),
				 0);
		memory->type = kind->device_type;
		assert_int_equal(runtime_try(kind, memory->base, 100, 0), 0);
		/* A device that has no memory of its own. */
		kind->standin->is_integrated = true;
		assert_int_equal(runtime_try(kind, memory->base, 100, 0), -EOPNOTSUPP);
		assert_int_equal(runtime_try(kind, memory->base, 100, P2PDMA_BUFFER_ALLOW_SYSTEM),
				 0);
	}
}

static void pointer_other_system_memory(void **state)
{
	struct standin_memory *cuda = runtime_allocate(&runtime_kinds[0], MIB, MIB);
	struct standin_memory *hsa = runtime_allocate(&runtime_kinds[1], MIB, MIB);
	struct standin_memory *ze = runtime_allocate(&runtime_kinds[2], MIB, MIB);

	(void)state;
	cuda->is_managed = true;
	assert_int_equal(runtime_try(NULL, cuda->base, 1, 0), -EOPNOTSUPP);
	assert_cause("managed memory");
	hsa->has_owner = false;
	assert_int_equal(runtime_try(NULL, hsa->base, 1, 0), -EOPNOTSUPP);
	assert_cause("doesn't show");
	hsa->has_owner = true;
	runtime_kinds[1].standin->is_host_device = true;
	assert_int_equal(runtime_try(NULL, hsa->base, 1, 0), -EOPNOTSUPP);
	assert_cause("pool of the CPU");
	/* Which that runtime never exports. */
	assert_int_equal(runtime_try(NULL, hsa->base, 1, P2PDMA_BUFFER_ALLOW_SYSTEM), -EOPNOTSUPP);
	ze->type = ZE_MEMORY_HOST;
	assert_int_equal(runtime_try(NULL, ze->base, 1, 0), -EOPNOTSUPP);
	assert_cause("host memory");
}

/* The runtime says it is a device's memory, the kernel says that it isn't. */
static void pointer_fallback_is_noticed(void **state)
{
	static const char *const names[] = {"system", "udmabuf"};

	(void)state;
	for_each_runtime(kind) {
		uint64_t address = runtime_allocate(kind, MIB, MIB)->base;

		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			fake.exporter = names[i];
			assert_int_equal(runtime_try(kind, address, 100, 0), -EOPNOTSUPP);
			assert_cause("fell back to memory of the machine");
			assert_cause(names[i]);
			assert_int_equal(
				runtime_try(kind, address, 100, P2PDMA_BUFFER_ALLOW_SYSTEM), 0);
		}
		fake.exporter = NULL;
		assert_int_equal(runtime_try(kind, address, 100, 0), -EOPNOTSUPP);
		assert_cause("nobody says whose memory");
		fake.exporter = "p2pdma_export";
	}
}

static void pointer_impossible_dmabuf_eio(void **state)
{
	(void)state;
	for_each_runtime(kind) {
		uint64_t address = runtime_allocate(kind, MIB, MIB)->base + 4096;

		kind->standin->make = runtime_make_file;
		assert_int_equal(runtime_try(kind, address, 100, 0), -EIO);
		assert_cause("is no DMABUF");
		kind->standin->make = runtime_make;
		runtime_is_truncated = true;
		/* Too small for what was asked for. */
		assert_int_equal(runtime_try(kind, address, 8192, 0),
				 kind->backend == P2PDMA_BACKEND_ZE ? -EOPNOTSUPP : -EIO);
		runtime_is_truncated = false;
	}
	/* An offset that can't be the address's. */
	runtime_kinds[1].standin->lie_bytes = 64;
	assert_int_equal(runtime_try(NULL, runtime_kinds[1].standin->memories[0].base, 100, 0),
			 -EIO);
	assert_cause("that can't be right");
	runtime_kinds[1].standin->lie_bytes = RUNTIME_DEVICE_BYTES;
	assert_int_equal(runtime_try(NULL, runtime_kinds[1].standin->memories[0].base, 100, 0),
			 -EIO);
	runtime_kinds[1].standin->lie_bytes = (uint64_t)-4 * (uint64_t)MIB;
	assert_int_equal(runtime_try(NULL, runtime_kinds[1].standin->memories[0].base, 100, 0),
			 -EIO);
}

/* Cut out of something larger: where in the DMABUF it begins nobody says. */
static void ze_pooled_memory_refused(void **state)
{
	struct standin_memory *memory = runtime_allocate(&runtime_kinds[2], 5 * MIB, MIB);

	(void)state;
	memory->is_pooled = true;
	assert_int_equal(runtime_try(&runtime_kinds[2], memory->base, 100, 0), -EOPNOTSUPP);
	assert_cause("ze_external_memory_export_desc_t");
	memory->is_pooled = false;
	assert_int_equal(runtime_try(&runtime_kinds[2], memory->base, 100, 0), 0);
	/* Not on a page of its own. */
	memory->base += 256;
	memory->offset_bytes += 256;
	assert_int_equal(runtime_try(&runtime_kinds[2], memory->base, 100, 0), -EOPNOTSUPP);
	assert_cause("cut this allocation");
}

static void pointer_failing_runtime_leaks_nothing(void **state)
{
	static const struct {
		int results[NR_RUNTIMES];
		int error;
	} answers[] = {
		{{CUDA_OUT_OF_MEMORY, HSA_OUT_OF_RESOURCES, ZE_OUT_OF_HOST_MEMORY}, -ENOMEM},
		{{CUDA_INVALID_VALUE, HSA_INVALID_ARGUMENT, ZE_INVALID_ARGUMENT}, -EINVAL},
		{{CUDA_NOT_SUPPORTED, HSA_INVALID_AGENT, ZE_UNSUPPORTED_FEATURE}, -EOPNOTSUPP},
		{{999, 0x1000, 0x7ffffffe}, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < NR_RUNTIMES; i++) {
		uint64_t address = runtime_allocate(&runtime_kinds[i], MIB, MIB)->base;

		for (size_t j = 0; j < ARRAY_SIZE(answers); j++) {
			runtime_kinds[i].standin->result = answers[j].results[i];
			assert_int_equal(runtime_try(&runtime_kinds[i], address, 100, 0),
					 answers[j].error);
		}
		runtime_kinds[i].standin->result = 0;
		fake_fail(FAKE_DUP, -EMFILE, 0);
		assert_int_equal(runtime_try(&runtime_kinds[i], address, 100, 0), -EMFILE);
		fake_fail(FAKE_SIZE, -ENOMEM, 0);
		assert_int_equal(runtime_try(&runtime_kinds[i], address, 100, 0), -ENOMEM);
		fake_fail(FAKE_STAT, -ENOMEM, 0);
		assert_int_equal(runtime_try(&runtime_kinds[i], address, 100, 0), -ENOMEM);
	}
	/* Each that HSA made went back by HSA's call. */
	assert_int_equal(runtime_kinds[1].standin->nr_closed, 3);
}

static int load(void **state)
{
	(void)state;
	runtime_load_all();
	return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, runtime_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(pointer_outside_einval),
		CASE(pointer_bad_arguments_einval),
		CASE(ze_without_context_einval),
		CASE(pointer_system_memory_needs_leave),
		CASE(pointer_other_system_memory),
		CASE(pointer_fallback_is_noticed),
		CASE(pointer_impossible_dmabuf_eio),
		CASE(ze_pooled_memory_refused),
		CASE(pointer_failing_runtime_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
