// SPDX-License-Identifier: MIT
/* Memory with struct pages: buffers that are mappings, not DMABUFs, and pools. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "event/hotplug.h"
#include "../lab/guest/common/touch.h"

#define READ_WRITE (P2PDMA_MAP_READ | P2PDMA_MAP_WRITE)
#define POOL	   "sys/bus/pci/devices/0000:42:00.0/p2pmem/"
#define NAME	   "0000:42:00.0/p2pmem"

static int setup(void **state)
{
	int r = fake_setup(state);

	fake_add_function("0000:42:00.0", "nvme");
	fake_mkdir("sys/bus/pci/devices/0000:42:00.0/p2pmem");
	fake_write(POOL "size", "16777216\n");
	fake_write(POOL "available", "16646144\n");
	fake_write(POOL "published", "1\n");
	fake_write(POOL "allocate", "");
	return r;
}

static struct p2pdma_provider *pool(void)
{
	struct p2pdma_provider *provider = NULL;

	assert_int_equal(p2pdma_provider_find(fake_context(), NAME, &provider), 0);
	return provider;
}

static int try_new(uint64_t offset, uint64_t length, uint32_t backend, uint32_t flags,
		   struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {offset, length};
	struct p2pdma_provider *provider = pool();
	int r;

	options.backend = backend;
	options.flags = flags;
	r = p2pdma_buffer_new(fake_context(), provider, &range, 1, &options, ret_buffer);
	p2pdma_provider_unref(provider);
	return r;
}

static struct p2pdma_buffer *new_buffer(uint64_t length, uint32_t flags)
{
	struct p2pdma_buffer *buffer = NULL;

	assert_int_equal(try_new(0, length, P2PDMA_BACKEND_AUTO, flags, &buffer), 0);
	return buffer;
}

static char *map(struct p2pdma_buffer *buffer, uint64_t offset, uint64_t length)
{
	void *address = NULL;

	assert_int_equal(p2pdma_buffer_map(buffer, offset, length, READ_WRITE, &address), 0);
	return address;
}

static void new_is_memory_without_a_dmabuf(void **state)
{
	struct p2pdma_iommufd_attr attr = {
		.size_bytes = sizeof(attr),
		.flags = P2PDMA_IOMMUFD_READ,
		.iommufd = -1,
		.length_bytes = MIB,
	};
	struct p2pdma_buffer *buffer = new_buffer(MIB, 0);
	struct p2pdma_iommufd_mapping *mapping;
	struct p2pdma_mr *mr;

	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_P2PMEM);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), MIB);
	assert_int_equal(p2pdma_buffer_inode(buffer), 0);
	assert_true(!strncmp(p2pdma_buffer_name(buffer), NAME "@", strlen(NAME) + 1));
	assert_int_equal(p2pdma_buffer_fd(buffer), -EOPNOTSUPP);
	assert_cause("has no DMABUF");
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), -EOPNOTSUPP);
	assert_cause("its pages are for O_DIRECT");
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, &mapping), -EOPNOTSUPP);
	assert_cause("has no DMABUF");
	assert_non_null(*state);
	p2pdma_buffer_free(buffer);
}

static void cache_acquire_eopnotsupp(void **state)
{
	struct p2pdma_mr_attr attr = {.size_bytes = sizeof(attr), .length_bytes = MIB};
	struct p2pdma_buffer *buffer = new_buffer(MIB, 0), *other = new_buffer(MIB, 0);
	struct p2pdma_mr_cache *cache;
	struct p2pdma_mr *mr;

	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), NULL, &cache), 0);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &attr, &mr), -EOPNOTSUPP);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, other, &attr, &mr), -EOPNOTSUPP);
	assert_cause("can't be a memory region");
	p2pdma_mr_cache_free(cache);
	p2pdma_buffer_free(other);
	p2pdma_buffer_free(buffer);
}

static void new_refuses_what_cant_be(void **state)
{
	struct p2pdma_range ranges[2] = {{0, MIB}, {MIB, MIB}};
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_provider *provider = pool();

	assert_int_equal(try_new(MIB, MIB, 0, 0, &buffer), -EINVAL);
	assert_cause("the kernel chooses where in the pool");
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, 2, NULL, &buffer), -EINVAL);
	assert_int_equal(try_new(0, 17 * MIB, 0, 0, &buffer), -EINVAL);
	assert_cause("passes the end of " NAME);
	assert_int_equal(try_new(0, MIB, 0, P2PDMA_BUFFER_READ_ONLY, &buffer), -EOPNOTSUPP);
	assert_cause("the p2pmem backend can't make read-only buffers");
	assert_int_equal(try_new(0, MIB, P2PDMA_BACKEND_VFIO, 0, &buffer), -EOPNOTSUPP);
	assert_int_equal(try_new(0, MIB, 0, 1U << 31, &buffer), -EINVAL);
	assert_null(buffer);
	p2pdma_provider_unref(provider);
}

static void inherit_of_a_bar_eopnotsupp(void **state)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_range range = {0, MIB};
	struct p2pdma_buffer *buffer = NULL;

	options.flags = P2PDMA_BUFFER_INHERIT;
	assert_int_equal(p2pdma_buffer_new(*state, provider, &range, 1, &options, &buffer),
			 -EOPNOTSUPP);
	assert_cause("can't share its memory with children");
	p2pdma_provider_unref(provider);
}

static void new_exhausted_enomem(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_provider *provider = pool();

	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), -ENOMEM);
	assert_cause("has 0xfe0000 of 0x1000000 bytes free, and 0x1000000 are wanted");
	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(try_new(0, MIB, 0, 0, &buffer), -ENOMEM);
	assert_cause("but not 0x100000 in one piece");
	fake_write(POOL "available", "99999999\n");
	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(try_new(0, MIB, 0, 0, &buffer), -ENOMEM);
	assert_cause("has no 0x100000 bytes");
	p2pdma_provider_unref(provider);
}

static void new_without_leave_says_which_file(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_provider *provider;
	const char *why;

	(void)state;
	fake.access_errors = -EACCES;
	provider = pool();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_P2PMEM, &why), 0);
	assert_non_null(strstr(why, "0000:42:00.0/p2pmem/allocate can't be opened: EACCES"));
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(try_new(0, MIB, 0, 0, &buffer), -EACCES);
	assert_cause("0000:42:00.0/p2pmem/allocate");
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(try_new(0, MIB, P2PDMA_BACKEND_P2PMEM, 0, &buffer), -EACCES);
	p2pdma_provider_unref(provider);
	fake.access_errors = 0;
	fake_unlink(POOL "allocate");
	assert_int_equal(try_new(0, MIB, P2PDMA_BACKEND_P2PMEM, 0, &buffer), -EOPNOTSUPP);
	assert_cause("the function is bound to nvme");
}

static void new_as_the_driver_leaves_enodev(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	fake.is_gone = true;
	assert_int_equal(try_new(0, MIB, 0, 0, &buffer), -ENODEV);
	assert_cause("has let go of its pool");
}

static void map_is_a_view_of_one_memory(void **state)
{
	struct p2pdma_buffer *buffer = new_buffer(MIB, 0), *other = new_buffer(MIB, 0);
	char *all = map(buffer, 0, MIB), *part = map(buffer, 4096, 4096);

	(void)state;
	strcpy(part, "hello");
	assert_string_equal(all + 4096, "hello");
	assert_string_equal(map(other, 4096, 4096), "");
	assert_int_equal(p2pdma_buffer_unmap(buffer, part), 0);
	assert_int_equal(p2pdma_buffer_unmap(buffer, part), -EINVAL);
	assert_string_equal(all + 4096, "hello");
	assert_int_equal(p2pdma_buffer_unmap(buffer, all), 0);
	/* Neither took the memory away. */
	assert_string_equal(map(buffer, 0, MIB) + 4096, "hello");
	p2pdma_buffer_free(other);
	p2pdma_buffer_free(buffer);
}

static int child_of(char *memory)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		status = touch(memory);
		if (!status)
			memory[0] = 7;
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void fork_shares_only_what_says_so(void **state)
{
	struct p2pdma_buffer *own = new_buffer(MIB, 0);
	struct p2pdma_buffer *shared = new_buffer(MIB, P2PDMA_BUFFER_INHERIT);
	char *a = map(own, 0, MIB), *b = map(shared, 0, MIB);

	(void)state;
	assert_int_equal(child_of(a), SIGSEGV);
	assert_int_equal(a[0], 0);
	assert_int_equal(child_of(b), 0);
	assert_int_equal(b[0], 7);
	p2pdma_buffer_free(shared);
	p2pdma_buffer_free(own);
}

static void revoke_covers_it_and_tells(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = new_buffer(MIB, 0), *other = new_buffer(MIB, 0);
	char *memory = map(buffer, 0, MIB), *part = map(buffer, 4096, 4096);
	struct p2pdma_event event;
	void *address;

	(void)state;
	assert_int_equal(touch(memory), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), 0);
	assert_int_equal(result.nr_buffers, 1);
	assert_int_equal(touch(memory), SIGBUS);
	assert_int_equal(touch(part), SIGBUS);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_OWNER);
	assert_ptr_equal(event.buffer, buffer);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), 0);
	assert_int_equal(result.nr_buffers, 0);
	fake_no_event();
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -ESTALE);
	assert_int_equal(p2pdma_buffer_unmap(buffer, part), 0);
	/* Alone. */
	assert_int_equal(touch(map(other, 0, MIB)), 0);
	p2pdma_buffer_free(other);
	p2pdma_buffer_free(buffer);
}

static void unbind_ends_all_and_tells(void **state)
{
	struct p2pdma_buffer *buffer = new_buffer(MIB, 0);
	struct p2pdma_event event;
	struct p2pdma_context *context = *state;
	void *address;

	/* Of another function, and of ours while the file is still there. */
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "unbind", "0000:43:00.0");
	hotplug_handle(context, "unbind", "0000:42:00.0");
	pthread_mutex_unlock(&context->lock);
	fake_no_event();
	fake.is_gone = true;
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "unbind", "0000:42:00.0");
	hotplug_handle(context, "unbind", "0000:42:00.0");
	pthread_mutex_unlock(&context->lock);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_REMOVE);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_DEVICE_GONE);
	fake_no_event();
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, READ_WRITE, &address), -ENODEV);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	/* Bound again, the pool is another one; it isn't mistaken for the old one. */
	fake.is_gone = false;
	p2pdma_buffer_free(new_buffer(MIB, 0));
	p2pdma_buffer_free(buffer);
}

static void query_finds_out_by_itself(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = new_buffer(MIB, 0);

	(void)state;
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_ACTIVE);
	fake.is_gone = true;
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_GONE);
	assert_int_equal(status.reason, P2PDMA_REASON_REMOVE);
	p2pdma_buffer_free(buffer);
}

static void pool_query_tells_figures(void **state)
{
	struct p2pdma_pool_status status = P2PDMA_POOL_STATUS_INIT;
	struct p2pdma_provider *provider = pool(), *bar = fake_provider();

	assert_int_equal(p2pdma_pool_query(*state, provider, &status), 0);
	assert_int_equal(status.total_bytes, 16777216);
	assert_int_equal(status.available_bytes, 16646144);
	assert_int_equal(status.flags, P2PDMA_POOL_PUBLISHED);
	assert_int_equal(p2pdma_pool_query(NULL, provider, &status), -EINVAL);
	assert_int_equal(p2pdma_pool_query(*state, NULL, &status), -EINVAL);
	assert_int_equal(p2pdma_pool_query(*state, provider, NULL), -EINVAL);
	assert_int_equal(p2pdma_pool_query(*state, bar, &status), -EOPNOTSUPP);
	assert_cause("0000:01:00.0/2 is no pool");
	fake_write(POOL "published", "2\n");
	assert_int_equal(p2pdma_pool_query(*state, provider, &status), -EIO);
	fake_write(POOL "published", "0\n");
	fake_write(POOL "available", "16777217\n");
	assert_int_equal(p2pdma_pool_query(*state, provider, &status), -EIO);
	fake_unlink(POOL "available");
	assert_int_equal(p2pdma_pool_query(*state, provider, &status), -ENODEV);
	fake_replace_function("0000:42:00.0", "nvme");
	assert_int_equal(p2pdma_pool_query(*state, provider, &status), -ESTALE);
	fake_remove_function("0000:42:00.0");
	assert_int_equal(p2pdma_pool_query(*state, provider, &status), -ENODEV);
	p2pdma_provider_unref(bar);
	p2pdma_provider_unref(provider);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(new_is_memory_without_a_dmabuf),
		CASE(cache_acquire_eopnotsupp),
		CASE(new_refuses_what_cant_be),
		CASE(inherit_of_a_bar_eopnotsupp),
		CASE(new_exhausted_enomem),
		CASE(new_without_leave_says_which_file),
		CASE(new_as_the_driver_leaves_enodev),
		CASE(map_is_a_view_of_one_memory),
		CASE(fork_shares_only_what_says_so),
		CASE(revoke_covers_it_and_tells),
		CASE(unbind_ends_all_and_tells),
		CASE(query_finds_out_by_itself),
		CASE(pool_query_tells_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
