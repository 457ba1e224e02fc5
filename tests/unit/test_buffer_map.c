// SPDX-License-Identifier: MIT
/* CPU mappings: their rules, their end, and the two refusals that a race can bring. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "fake_vfio.h"

#define READ_WRITE (P2PDMA_MAP_READ | P2PDMA_MAP_WRITE)

static void map_write_read_unmap(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	char *a = NULL, *b = NULL;

	(void)state;
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, (void **)&a), 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 4096, 1, P2PDMA_MAP_READ, (void **)&b), 0);
	strcpy(a + 4096, "hello");
	assert_string_equal(b, "hello");
	assert_int_equal(p2pdma_buffer_unmap(buffer, b), 0);
	assert_int_equal(p2pdma_buffer_unmap(buffer, b), -EINVAL);
	assert_int_equal(p2pdma_buffer_unmap(buffer, a + 4096), -EINVAL);
	assert_cause("isn't mapped");
	assert_int_equal(p2pdma_buffer_unmap(NULL, a), -EINVAL);
	/* The other mapping ends with the buffer. */
	p2pdma_buffer_free(buffer);
}

static void map_bad_arguments_einval(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	void *address;

	(void)state;
	assert_int_equal(p2pdma_buffer_map(NULL, 0, MIB, READ_WRITE, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, NULL), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, 0, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, 4, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 1, 4096, READ_WRITE, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, 0, READ_WRITE, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB + 1, READ_WRITE, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, MIB, 1, READ_WRITE, &address), -EINVAL);
	assert_int_equal(p2pdma_buffer_map(buffer, 4096, UINT64_MAX, READ_WRITE, &address),
			 -EINVAL);
	p2pdma_buffer_free(buffer);
}

static void map_read_only_eacces(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, P2PDMA_BUFFER_READ_ONLY);
	void *address;

	(void)state;
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -EACCES);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, P2PDMA_MAP_READ, &address), 0);
	p2pdma_buffer_free(buffer);
}

static void map_after_revoke_estale(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	void *address;

	(void)state;
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_buffer_unmap(buffer, address), 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -ESTALE);
	p2pdma_buffer_free(buffer);
}

static void map_after_device_left_enodev(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	void *address;

	(void)state;
	fake_leave();
	/* Nobody has looked at the events yet: the kernel's refusal makes the library ask. */
	fake_fail(FAKE_MAP, -ENODEV, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -ENODEV);
	assert_cause("has gone (remove)");
	p2pdma_buffer_free(buffer);
}

static void map_kernel_errors_explained(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	void *address;

	(void)state;
	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -ENOMEM);
	fake_fail(FAKE_MAP, -EBUSY, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -EBUSY);
	assert_cause("another caching");
	p2pdma_buffer_free(buffer);
}

static void map_adopted(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	int fd = fake_make_dmabuf(MIB);
	char *address;

	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, (void **)&address), 0);
	address[0] = 1;
	fake_fail(FAKE_MAP, -EINVAL, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, (void **)&address),
			 -EOPNOTSUPP);
	assert_cause("has no mmap");
	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, (void **)&address), -ENOMEM);
	p2pdma_buffer_free(buffer);
	fake_sys.close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(map_write_read_unmap),
		CASE(map_bad_arguments_einval),
		CASE(map_read_only_eacces),
		CASE(map_after_revoke_estale),
		CASE(map_after_device_left_enodev),
		CASE(map_kernel_errors_explained),
		CASE(map_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
