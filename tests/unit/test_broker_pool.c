// SPDX-License-Identifier: MIT
/* Leases of p2pmem: p2pd hands out a file of sysfs, and what the caller gets is memory. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/magic.h>

#include <p2pdma/p2pdma.h>

#include "fake_p2pd.h"

#define POOL	   "0000:42:00.0/p2pmem@9"
#define READ_WRITE (P2PDMA_MAP_READ | P2PDMA_MAP_WRITE)

static int setup(void **state)
{
	int r = p2pd_setup(state);

	fake.fs_type = SYSFS_MAGIC;
	return r;
}

static int acquire(uint64_t length, const struct p2pdma_range *range,
		   struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;

	request.selector = POOL;
	request.flags = P2PDMA_BUFFER_ALLOW_UNREVOCABLE;
	request.length_bytes = length;
	request.ranges = range;
	request.nr_ranges = !!range;
	return p2pdma_lease_acquire(p2pd_context(), &request, ret_buffer);
}

/* Has this process a descriptor of such a file? */
static bool is_open(const char *file)
{
	char path[32], name[64];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, name, sizeof(name) - 1);
		if (length > 0 && !strncmp(name, file, strlen(file)))
			return true;
	}
	return false;
}

static sigjmp_buf fault;

static void on_fault(int signal)
{
	siglongjmp(fault, signal);
}

static int touch(const volatile char *address)
{
	struct sigaction action = {.sa_handler = on_fault}, before;
	int signal;

	sigaction(SIGBUS, &action, &before);
	signal = sigsetjmp(fault, 1);
	if (!signal)
		(void)*address;
	sigaction(SIGBUS, &before, NULL);
	return signal;
}

static void acquire_gives_memory_of_the_wanted_size(void **state)
{
	struct p2pdma_range range = {0, 2 * MIB};
	struct p2pdma_buffer *buffer = NULL, *other = NULL;
	struct p2pdma_lease_info info;
	struct p2pdma_mr *mr;
	char *memory = NULL;

	(void)state;
	assert_int_equal(acquire(MIB, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_fd(buffer), -EOPNOTSUPP);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), MIB);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_BROKER);
	info = p2pd_lease_info(buffer);
	assert_int_equal(info.backend, P2PDMA_BACKEND_P2PMEM);
	assert_int_equal(info.length_bytes, 16 * MIB);
	assert_int_equal(info.force, P2PDMA_LEASE_FORCE_NONE);
	assert_int_equal(p2pdma_buffer_map(buffer, 4096, 4096, READ_WRITE, (void **)&memory), 0);
	strcpy(memory, "hello");
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), -EOPNOTSUPP);
	assert_int_equal(acquire(0, &range, &other), 0);
	/* Nobody could take back what is kept of it. p2pd's own, a thread of ours, goes soon. */
	p2pd_wait_for(!is_open("/memfd:allocate"));
	assert_int_equal(p2pdma_buffer_size_bytes(other), 2 * MIB);
	p2pdma_buffer_free(other);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 2);
}

static void acquire_what_is_no_file_of_sysfs_eproto(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	fake.fs_type = TMPFS_MAGIC;
	assert_int_equal(acquire(MIB, NULL, &buffer), -EPROTO);
	assert_p2pd_cause("no file of sysfs");
	assert_null(buffer);
}

static void acquire_of_a_full_pool_gives_the_lease_back(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(acquire(MIB, NULL, &buffer), -ENOMEM);
	assert_null(buffer);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 1);
}

static void revoke_takes_the_memory_before_it_is_given_back(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	char *memory = NULL;

	(void)state;
	assert_int_equal(acquire(MIB, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, (void **)&memory), 0);
	assert_int_equal(touch(memory), 0);
	/* Also where p2pd can't be told. */
	p2pd_twist(WIRE_RELEASE, TWIST_ERROR, -EIO, 1);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), -EIO);
	assert_int_equal(touch(memory), SIGBUS);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	p2pdma_buffer_free(buffer);
}

static void ack_gives_the_memory(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	char *memory = NULL;

	(void)state;
	assert_int_equal(acquire(MIB, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, (void **)&memory), 0);
	p2pd_send_lease_event(WIRE_EVENT_REVOKE_REQUESTED, p2pd_lease_info(buffer).id,
			      WIRE_REASON_ADMIN, UINT64_MAX);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKE_REQUESTED);
	assert_int_equal(touch(memory), 0);
	assert_int_equal(p2pdma_lease_ack(buffer, 0), 0);
	assert_int_equal(touch(memory), SIGBUS);
	p2pdma_buffer_free(buffer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(acquire_gives_memory_of_the_wanted_size),
		CASE(acquire_what_is_no_file_of_sysfs_eproto),
		CASE(acquire_of_a_full_pool_gives_the_lease_back),
		CASE(revoke_takes_the_memory_before_it_is_given_back),
		CASE(ack_gives_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
