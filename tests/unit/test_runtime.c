// SPDX-License-Identifier: MIT
/*
 * Memory of GPU runtimes, with stand-ins for their libraries (tests/runtime): when they are loaded,
 * that what is exported are the bytes at the address, and that every descriptor and context goes
 * back. The cases before the libraries are loaded come first.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "fake_runtime.h"
#include "runtime/runtime.h"
#include "runtime/cuda_abi.h"
#include "runtime/hsa_abi.h"
#include "runtime/ze_abi.h"

static void pointer_without_library_eopnotsupp(void **state)
{
	(void)state;
	for_each_runtime(kind) {
		runtime_ze_context = &runtime_kinds;
		assert_int_equal(runtime_try(kind, 0x1000, 16, 0), -EOPNOTSUPP);
		assert_cause(kind->soname);
		assert_cause("hasn't loaded");
	}
	assert_int_equal(runtime_try(NULL, 0x1000, 16, 0), -ENOENT);
	/* And none of these has loaded one. */
	for_each_runtime(kind)
		assert_null(dlopen(kind->soname, RTLD_LAZY | RTLD_NOLOAD));
}

static void query_loads_and_describes(void **state)
{
	const char *why = NULL;

	for_each_runtime(kind) {
		assert_int_equal(p2pdma_backend_query(*state, kind->backend, &why), 1);
		assert_non_null(strstr(why, kind->soname));
	}
	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_CUDA, &why), 1);
	assert_non_null(strstr(why, "for CUDA 13.1"));
}

/* As a program that looked at the machine and then uses no GPU. */
static void pointer_uninitialized_enoent(void **state)
{
	(void)state;
	runtime_load_all();
	for_each_runtime(kind) {
		assert_int_equal(runtime_try(kind, 0x1000, 16, 0), -ENOENT);
		assert_cause("no address of");
	}
}

static void load_says_what_is_missing(void **state)
{
	static const char *const absent[] = {"libp2pdma-absent.so.1", NULL};
	static const char *const other[] = {"libc.so.6", NULL};
	static int (*slots[2])(void);
	static const struct runtime_symbol symbols[] = {{"puts", &slots[0], false},
							{"p2pdma_optional", &slots[1], true},
							{"p2pdma_absent", &slots[1], false},
							{NULL, NULL, false}};
	bool is_ready = false;
	struct runtime runtime = *runtime_find(P2PDMA_BACKEND_HSA);
	char why[BACKEND_WHY_SIZE];

	(void)state;
	runtime.sonames = absent;
	runtime.symbols = symbols;
	runtime.is_ready = &is_ready;
	runtime.needed = "a newer one";
	assert_int_equal(runtime_load(&runtime, true, why), -EOPNOTSUPP);
	assert_non_null(strstr(why, "libp2pdma-absent.so.1: cannot open"));
	runtime.sonames = other;
	assert_int_equal(runtime_load(&runtime, false, why), -EOPNOTSUPP);
	assert_non_null(strstr(why, "has no p2pdma_absent, which a newer one has"));
	assert_null(slots[0]);
	assert_false(is_ready);
	runtime.symbols = &symbols[3];
	assert_int_equal(runtime_load(&runtime, false, why), 0);
}

/* Places in an allocation: its start, inside a page, over a page's end, its last byte. */
static void pointer_gets_its_bytes(void **state)
{
	static const struct {
		uint64_t offset, length;
	} places[] = {{0, 4096},     {0, 1},	    {1, 1},	  {4095, 2},
		      {5000, 10000}, {8192, 65536}, {MIB - 1, 1}, {MIB - 5000, 5000},
		      {0, MIB}};

	(void)state;
	for_each_runtime(kind) {
		struct standin_memory *memory = runtime_allocate(kind, 3 * MIB, MIB);

		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			uint64_t address = memory->base + places[i].offset, offset = 0;
			uint64_t device = memory->offset_bytes + places[i].offset;
			struct p2pdma_buffer *buffer = NULL;

			assert_int_equal(runtime_new(kind, address, places[i].length, 0, &buffer,
						     &offset),
					 0);
			assert_true(runtime_has_bytes(buffer, offset, device, places[i].length));
			assert_int_equal(offset % 4096, address % 4096);
			assert_int_equal(p2pdma_buffer_backend(buffer), kind->backend);
			assert_ptr_equal(p2pdma_buffer_user_data(buffer), &fake);
			assert_int_equal(strncmp(p2pdma_buffer_name(buffer), kind->name,
						 strlen(kind->name)),
					 0);
			assert_true(fcntl(p2pdma_buffer_fd(buffer), F_GETFD) & FD_CLOEXEC);
			p2pdma_buffer_free(buffer);
		}
	}
}

/* The control of the case above: another base would have been noticed. */
static void pointer_wrong_base_has_other_bytes(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	uint64_t offset = 0;

	(void)state;
	for_each_runtime(kind) {
		struct standin_memory *memory = runtime_allocate(kind, 3 * MIB, MIB);

		assert_int_equal(runtime_new(kind, memory->base + 5000, 3000, 0, &buffer, &offset),
				 0);
		assert_int_not_equal(offset, 0);
		assert_true(runtime_has_bytes(buffer, offset, 3 * MIB + 5000, 3000));
		assert_false(runtime_has_bytes(buffer, 0, 3 * MIB + 5000, 3000));
		p2pdma_buffer_free(buffer);
	}
}

/* Allocations that share pages with others, as small ones of CUDA and ROCm do. */
static void pointer_small_allocation(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	uint64_t offset = 0;

	(void)state;
	for (struct runtime_kind *kind = runtime_kinds; kind < runtime_kinds + 2; kind++) {
		struct standin_memory *memory = runtime_allocate(kind, 3 * MIB + 512, 700);

		assert_int_equal(runtime_new(kind, memory->base + 100, 600, 0, &buffer, &offset),
				 0);
		assert_true(runtime_has_bytes(buffer, offset, 3 * MIB + 612, 600));
		p2pdma_buffer_free(buffer);
		assert_int_equal(runtime_try(kind, memory->base + 100, 601, 0), -EINVAL);
		assert_cause("aren't inside the allocation");
	}
}

static void pointer_registers_with_its_own_iova(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;
	uint64_t offset = 0;

	(void)state;
	for_each_runtime(kind) {
		uint64_t address = runtime_allocate(kind, MIB, MIB)->base + 777;

		assert_int_equal(runtime_new(kind, address, 9999, 0, &buffer, &offset), 0);
		assert_int_equal(
			p2pdma_mr_register(fake_pd(), buffer, offset, 9999, address, 1, &mr), 0);
		assert_int_equal(p2pdma_mr_iova(mr), address);
		assert_int_equal(p2pdma_mr_deregister(mr), 0);
		assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), -EOPNOTSUPP);
		assert_cause("can't be revoked: it is memory of");
		p2pdma_buffer_free(buffer);
	}
}

static void pointer_auto_asks_all(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	uint64_t offset;

	for_each_runtime(kind) {
		uint64_t address = runtime_allocate(kind, MIB, MIB)->base + 3;

		assert_int_equal(runtime_new(NULL, address, 100, 0, &buffer, &offset), 0);
		assert_int_equal(p2pdma_buffer_backend(buffer), kind->backend);
		p2pdma_buffer_free(buffer);
		/* Level Zero is asked only with its context. */
		buffer = NULL;
		assert_int_equal(p2pdma_buffer_new_pointer(*state, (void *)(uintptr_t)address, 100,
							   NULL, &buffer, &offset),
				 kind->backend == P2PDMA_BACKEND_ZE ? -ENOENT : 0);
		p2pdma_buffer_free(buffer);
	}
	assert_int_equal(runtime_try(NULL, 0x1000, 1, 0), -ENOENT);
	assert_cause("is no address of a GPU runtime that this process has loaded");
}

/* Each way of CUDA's to say that an address is another's; anything else is a failure. */
static void pointer_unknown_to_cuda_goes_on(void **state)
{
	static const int answers[] = {CUDA_INVALID_VALUE, CUDA_NOT_INITIALIZED, CUDA_DEINITIALIZED,
				      CUDA_INVALID_CONTEXT};
	uint64_t address = runtime_allocate(&runtime_kinds[1], MIB, MIB)->base;
	struct standin *cuda = runtime_kinds[0].standin;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		cuda->find_result = answers[i];
		assert_int_equal(runtime_try(NULL, address, 100, 0), 0);
		assert_int_equal(runtime_try(&runtime_kinds[0], address, 100, 0), -ENOENT);
	}
	cuda->find_result = CUDA_OUT_OF_MEMORY;
	assert_int_equal(runtime_try(NULL, address, 100, 0), -ENOMEM);
	assert_cause("CUDA_ERROR_OUT_OF_MEMORY");
}

static void ze_kept_descriptor_stays_open(void **state)
{
	struct standin *standin = runtime_kinds[2].standin;
	uint64_t address = runtime_allocate(&runtime_kinds[2], MIB, MIB)->base, offset;
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	standin->keeps_fd = true;
	standin->kept_fd = runtime_make(MIB, MIB);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			runtime_new(&runtime_kinds[2], address + 9, 100, 0, &buffer, &offset), 0);
		assert_true(runtime_has_bytes(buffer, offset, MIB + 9, 100));
		assert_int_not_equal(p2pdma_buffer_fd(buffer), standin->kept_fd);
		p2pdma_buffer_free(buffer);
		assert_true(fcntl(standin->kept_fd, F_GETFD) >= 0);
	}
	/* Refused, and still the driver's. */
	fake.exporter = "system";
	assert_int_equal(runtime_try(&runtime_kinds[2], address, 100, 0), -EOPNOTSUPP);
	assert_true(fcntl(standin->kept_fd, F_GETFD) >= 0);
	fake.exporter = "p2pdma_export";
	standin->memories[0].size_bytes = 2 * MIB;
	assert_int_equal(runtime_try(&runtime_kinds[2], address, 100, 0), -EOPNOTSUPP);
	assert_cause("cut this allocation");
	assert_true(fcntl(standin->kept_fd, F_GETFD) >= 0);
	close(standin->kept_fd);
}

static void pcie_mapping_reaches_the_runtime(void **state)
{
	(void)state;
	for_each_runtime(kind) {
		uint64_t address = runtime_allocate(kind, MIB, MIB)->base;
		int r = runtime_try(kind, address, 100, P2PDMA_BUFFER_PCIE_MAPPING);

		if (kind->backend == P2PDMA_BACKEND_ZE) {
			assert_int_equal(r, -EOPNOTSUPP);
			assert_cause("can't honour");
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(kind->standin->last_flags, 1);
		assert_int_equal(runtime_try(kind, address, 100, 0), 0);
		assert_int_equal(kind->standin->last_flags, 0);
	}
	runtime_kinds[0].standin->result = CUDA_NOT_SUPPORTED;
	assert_int_equal(runtime_try(&runtime_kinds[0], runtime_kinds[0].standin->memories[0].base,
				     1, P2PDMA_BUFFER_PCIE_MAPPING),
			 -EOPNOTSUPP);
	assert_cause("with a PCIe mapping");
}

static void cuda_contexts_stay_as_they_were(void **state)
{
	struct standin_memory *memory = runtime_allocate(&runtime_kinds[0], MIB, MIB);
	struct standin *standin = runtime_kinds[0].standin;

	(void)state;
	for (int device = 0; device < 2; device++) {
		memory->device = device;
		for (int current = -1; current < 2; current++) {
			runtime_cuda_current(current);
			/* In a context of its own; of no context, as virtual memory is. */
			memory->has_owner = true;
			assert_int_equal(runtime_try(&runtime_kinds[0], memory->base, 100, 0), 0);
			memory->has_owner = false;
			assert_int_equal(runtime_try(&runtime_kinds[0], memory->base, 100, 0), 0);
			standin->result = CUDA_INVALID_VALUE;
			assert_int_equal(runtime_try(&runtime_kinds[0], memory->base, 100, 0),
					 -EINVAL);
			standin->result = 0;
			assert_int_equal(standin->nr_contexts, 0);
			assert_int_equal(standin->nr_retained, 0);
		}
	}
}

static void read_only_pointer_eacces(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;
	uint64_t offset;
	void *address;

	(void)state;
	assert_int_equal(runtime_new(&runtime_kinds[0],
				     runtime_allocate(&runtime_kinds[0], MIB, MIB)->base, 4096,
				     P2PDMA_BUFFER_READ_ONLY, &buffer, &offset),
			 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, 4096, P2PDMA_MAP_WRITE, &address), -EACCES);
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, 4096, 0, 1, &mr), -EACCES);
	p2pdma_buffer_free(buffer);
}

static void *use_from_thread(void *data)
{
	const struct runtime_kind *kind = data;
	struct p2pdma_buffer *buffer;
	uint64_t offset;

	for (int i = 0; i < 30; i++) {
		if (runtime_new(kind, kind->standin->memories[0].base + 5, 100, 0, &buffer,
				&offset))
			return data;
		p2pdma_buffer_free(buffer);
	}
	return NULL;
}

static void pointer_from_many_threads(void **state)
{
	pthread_t threads[2 * NR_RUNTIMES];
	void *failed;

	(void)state;
	for_each_runtime(kind)
		runtime_allocate(kind, MIB, 8192);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, use_from_thread, &runtime_kinds[i % NR_RUNTIMES]);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(runtime_kinds[0].standin->nr_contexts, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, runtime_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(pointer_without_library_eopnotsupp),
		CASE(query_loads_and_describes),
		CASE(pointer_uninitialized_enoent),
		CASE(load_says_what_is_missing),
		CASE(pointer_gets_its_bytes),
		CASE(pointer_wrong_base_has_other_bytes),
		CASE(pointer_small_allocation),
		CASE(pointer_registers_with_its_own_iova),
		CASE(pointer_auto_asks_all),
		CASE(pointer_unknown_to_cuda_goes_on),
		CASE(ze_kept_descriptor_stays_open),
		CASE(pcie_mapping_reaches_the_runtime),
		CASE(cuda_contexts_stay_as_they_were),
		CASE(read_only_pointer_eacces),
		CASE(pointer_from_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
