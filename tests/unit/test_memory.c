// SPDX-License-Identifier: MIT
/* Buffers of system memory: who makes them, and what each refusal says. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "fake_vfio.h"

static void add_nodes(bool has_heap, bool has_udmabuf)
{
	fake_mkdir("dev/dma_heap");
	if (has_heap)
		fake_write("dev/dma_heap/system", "");
	if (has_udmabuf)
		fake_write("dev/udmabuf", "");
}

static int new_system(uint64_t size, uint32_t backend, uint32_t flags,
		      struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;

	options.backend = backend;
	options.flags = flags;
	options.user_data = &fake;
	return p2pdma_buffer_new_system(fake_context(), size, &options, ret_buffer);
}

static int try_system(uint64_t size, uint32_t backend, uint32_t flags)
{
	struct p2pdma_buffer *buffer = NULL;
	int r = new_system(size, backend, flags, &buffer);

	assert_true(!r == !!buffer);
	p2pdma_buffer_free(buffer);
	return r;
}

static void use(struct p2pdma_buffer *buffer)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_mr *mr = NULL;
	unsigned char *bytes = NULL;

	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE,
					   (void **)&bytes),
			 0);
	for (size_t i = 0; i < MIB; i += 4096)
		assert_int_equal(bytes[i], 0);
	bytes[MIB - 1] = 1;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 4096, 8192, 0, 1, &mr), 0);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_ACTIVE);
	assert_int_equal(status.nr_mrs, 1);
	assert_int_equal(status.flags, P2PDMA_STATUS_PLACED | P2PDMA_STATUS_SYSTEM);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	assert_int_equal(p2pdma_buffer_unmap(buffer, bytes), 0);
}

static void revoke_system_eopnotsupp(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;

	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), -EOPNOTSUPP);
	assert_cause("system memory");
	/* Nothing has changed. */
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, 4096, 0, 1, &mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

static void check_backend(uint32_t backend, const char *prefix)
{
	struct p2pdma_buffer *buffer = NULL;

	assert_int_equal(new_system(MIB, backend, P2PDMA_BUFFER_MMAP_WC, &buffer), 0);
	assert_int_equal(p2pdma_buffer_backend(buffer), backend);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), MIB);
	assert_int_equal(strncmp(p2pdma_buffer_name(buffer), prefix, strlen(prefix)), 0);
	assert_ptr_equal(p2pdma_buffer_user_data(buffer), &fake);
	assert_true(fcntl(p2pdma_buffer_fd(buffer), F_GETFD) & FD_CLOEXEC);
	use(buffer);
	revoke_system_eopnotsupp(buffer);
	p2pdma_buffer_free(buffer);
}

static void new_system_by_each_backend(void **state)
{
	(void)state;
	add_nodes(true, true);
	check_backend(P2PDMA_BACKEND_HEAP, "heap:");
	assert_int_equal(try_system(MIB, 0, P2PDMA_BUFFER_ALLOW_SYSTEM), 0);
	check_backend(P2PDMA_BACKEND_UDMABUF, "udmabuf:");
}

static uint32_t auto_backend(void)
{
	struct p2pdma_buffer *buffer = NULL;
	uint32_t backend;

	assert_int_equal(p2pdma_buffer_new_system(fake_context(), MIB, NULL, &buffer), 0);
	backend = p2pdma_buffer_backend(buffer);
	p2pdma_buffer_free(buffer);
	return backend;
}

static void new_system_auto_takes_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_AUTO, 0), -EOPNOTSUPP);
	assert_cause("no /dev/dma_heap/system");
	assert_cause("no /dev/udmabuf");
	add_nodes(false, true);
	assert_int_equal(auto_backend(), P2PDMA_BACKEND_UDMABUF);
	add_nodes(true, true);
	assert_int_equal(auto_backend(), P2PDMA_BACKEND_HEAP);
	fake_unlink("dev/udmabuf");
	assert_int_equal(auto_backend(), P2PDMA_BACKEND_HEAP);
}

static void new_system_closed_node_eacces(void **state)
{
	(void)state;
	add_nodes(true, true);
	fake.access_errors = -EACCES;
	for (uint32_t backend = P2PDMA_BACKEND_HEAP; backend <= P2PDMA_BACKEND_UDMABUF; backend++) {
		assert_int_equal(try_system(MIB, backend, 0), -EACCES);
		assert_cause("can't be opened: EACCES");
	}
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_AUTO, 0), -EACCES);
	fake_unlink("dev/dma_heap/system");
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_AUTO, 0), -EACCES);
	fake.access_errors = 0;
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_UDMABUF, 0), -EACCES);
	assert_cause("can't open /dev/udmabuf");
}

static void new_system_bad_arguments_einval(void **state)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *buffer = NULL;

	add_nodes(true, true);
	assert_int_equal(try_system(0, P2PDMA_BACKEND_AUTO, 0), -EINVAL);
	assert_int_equal(try_system(4095, P2PDMA_BACKEND_AUTO, 0), -EINVAL);
	assert_cause("page size");
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_EXPORT, 0), -EINVAL);
	assert_cause("makes no system memory");
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_CUDA, 0), -EINVAL);
	assert_int_equal(try_system(MIB, 99, 0), -EINVAL);
	assert_int_equal(try_system(MIB, 0, 1U << 31), -EINVAL);
	assert_int_equal(try_system(MIB, 0, P2PDMA_BUFFER_READ_ONLY), -EOPNOTSUPP);
	assert_int_equal(try_system(MIB, 0, P2PDMA_BUFFER_ALLOW_UNREVOCABLE), -EOPNOTSUPP);
	assert_int_equal(try_system(MIB, 0, P2PDMA_BUFFER_INHERIT), -EOPNOTSUPP);
	assert_int_equal(p2pdma_buffer_new_system(NULL, MIB, NULL, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new_system(*state, MIB, NULL, NULL), -EINVAL);
	options.size_bytes = 4;
	assert_int_equal(p2pdma_buffer_new_system(*state, MIB, &options, &buffer), -EINVAL);
	assert_null(buffer);
	assert_int_equal(fake.nr_opens, 0);
}

static void new_system_future_options_e2big(void **state)
{
	struct {
		struct p2pdma_buffer_options options;
		uint64_t future;
	} big = {P2PDMA_BUFFER_OPTIONS_INIT, 1};
	struct p2pdma_buffer *buffer = NULL;

	add_nodes(true, true);
	big.options.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_buffer_new_system(*state, MIB, &big.options, &buffer), -E2BIG);
	big.future = 0;
	assert_int_equal(p2pdma_buffer_new_system(*state, MIB, &big.options, &buffer), 0);
	p2pdma_buffer_free(buffer);
}

static void new_system_udmabuf_limit_einval(void **state)
{
	(void)state;
	add_nodes(false, true);
	assert_int_equal(try_system(64 * MIB, 0, 0), 0);
	assert_int_equal(try_system(64 * MIB + 4096, 0, 0), -EINVAL);
	assert_cause("/dev/udmabuf doesn't give");
	fake_mkdir("sys/module/udmabuf/parameters");
	fake_write("sys/module/udmabuf/parameters/size_limit_mb", "64\n");
	assert_int_equal(try_system(64 * MIB + 4096, 0, 0), -EINVAL);
	assert_cause("at most 64 MiB");
	/* Below the limit it must have been something else. */
	fake_fail(UDMABUF_CREATE, -EINVAL, 0);
	assert_int_equal(try_system(64 * MIB, 0, 0), -EINVAL);
	assert_cause("/dev/udmabuf doesn't give");
}

static void new_system_failing_kernel_leaks_nothing(void **state)
{
	static const unsigned long steps[] = {FAKE_STAT, FAKE_SIZE, FAKE_MEMORY, UDMABUF_CREATE};

	(void)state;
	add_nodes(true, true);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int before = count_fds();

		fake_fail(steps[i], -ENOMEM, 0);
		assert_int_equal(try_system(MIB, P2PDMA_BACKEND_UDMABUF, 0), -ENOMEM);
		assert_int_equal(count_fds(), before);
	}
	fake_fail(DMA_HEAP_IOCTL_ALLOC, -ENOMEM, 0);
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_HEAP, 0), -ENOMEM);
	assert_cause("0x100000 bytes");
	/* A node that is something else. */
	fake_fail(DMA_HEAP_IOCTL_ALLOC, -ENOTTY, 0);
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_HEAP, 0), -EOPNOTSUPP);
	assert_cause("is no DMA-BUF heap");
	fake_fail(UDMABUF_CREATE, -ENOTTY, 0);
	assert_int_equal(try_system(MIB, P2PDMA_BACKEND_UDMABUF, 0), -EOPNOTSUPP);
	assert_cause("not udmabuf either");
}

static void new_system_larger_than_a_file_fails(void **state)
{
	(void)state;
	add_nodes(false, true);
	assert_int_equal(try_system(UINT64_MAX - 4095, 0, 0), -EFBIG);
	assert_cause("memfd");
}

static void new_never_makes_system_memory(void **state)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	add_nodes(true, true);
	for (uint32_t backend = P2PDMA_BACKEND_HEAP; backend <= P2PDMA_BACKEND_ZE; backend++) {
		options.backend = backend;
		assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &options, &buffer),
				 -EINVAL);
		assert_cause("p2pdma/memory.h");
	}
	/* Nor does AUTO where nothing can export. */
	options.backend = P2PDMA_BACKEND_AUTO;
	fake_unlink("dev/p2pdma/0000:01:00.0");
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &options, &buffer),
			 -EOPNOTSUPP);
	p2pdma_provider_unref(provider);
}

static void backend_query_says_what_is_missing(void **state)
{
	const char *why = NULL;

	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_HEAP, &why), 0);
	assert_non_null(strstr(why, "CONFIG_DMABUF_HEAPS_SYSTEM"));
	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_UDMABUF, &why), 0);
	assert_non_null(strstr(why, "CONFIG_UDMABUF"));
	add_nodes(true, true);
	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_HEAP, &why), 1);
	assert_non_null(strstr(why, "/dev/dma_heap/system"));
	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_UDMABUF, NULL), 1);
	fake.access_errors = -EACCES;
	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_UDMABUF, &why), 0);
	assert_non_null(strstr(why, "EACCES"));
	assert_int_equal(p2pdma_backend_query(*state, P2PDMA_BACKEND_EXPORT, &why), -EINVAL);
	assert_int_equal(p2pdma_backend_query(NULL, P2PDMA_BACKEND_HEAP, &why), -EINVAL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(new_system_by_each_backend),
		CASE(new_system_auto_takes_what_is_there),
		CASE(new_system_closed_node_eacces),
		CASE(new_system_bad_arguments_einval),
		CASE(new_system_future_options_e2big),
		CASE(new_system_udmabuf_limit_einval),
		CASE(new_system_failing_kernel_leaks_nothing),
		CASE(new_system_larger_than_a_file_fails),
		CASE(new_never_makes_system_memory),
		CASE(backend_query_says_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
