// SPDX-License-Identifier: MIT
/* Memory of GPUs: each driver's calls, where it puts what is asked for, and what is said then. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "drm/abi.h"
#include "fake_drm.h"
#include "event/hotplug.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

static int teardown(void **state)
{
	assert_int_equal(fake_drm.nr_files, 0);
	assert_int_equal(fake_drm_nr_handles(), 0);
	return fake_teardown(state);
}

static struct p2pdma_provider *find(void)
{
	struct p2pdma_provider *provider = NULL;

	assert_int_equal(p2pdma_provider_find(fake_context(), FAKE_DRM_FUNCTION "/vram", &provider),
			 0);
	return provider;
}

/* So that finding it opens nothing. */
static void tell_size(void)
{
	fake_write("sys/bus/pci/devices/" FAKE_DRM_FUNCTION "/mem_info_vram_total", "268435456\n");
}

static int try_new(uint64_t length, uint32_t flags, struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range amount = {0, length};
	struct p2pdma_provider *provider = find();
	int r;

	options.flags = flags;
	r = p2pdma_buffer_new(fake_context(), provider, &amount, 1, &options, ret_buffer);
	p2pdma_provider_unref(provider);
	return r;
}

static struct p2pdma_buffer *new (uint64_t length, uint32_t flags)
{
	struct p2pdma_buffer *buffer = NULL;
	int r = try_new(length, flags, &buffer);

	if (r)
		fail_msg("%d: %s", r, p2pdma_context_error(fake_context()));
	return buffer;
}

static int try_register(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;
	int r = p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &mr);

	assert_true(!r == !!mr);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	return r;
}

static void attach(void *can_reach)
{
	fake_drm_attach(can_reach);
}

static uint32_t place_flags(struct p2pdma_buffer *buffer)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;

	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	return status.flags & (P2PDMA_STATUS_PLACED | P2PDMA_STATUS_SYSTEM);
}

#define IN_DEVICE P2PDMA_STATUS_PLACED
#define IN_SYSTEM (P2PDMA_STATUS_PLACED | P2PDMA_STATUS_SYSTEM)

static const char *const gpus[] = {"amdgpu", "xe", "i915", "nouveau"};

static void new_in_memory_of_the_device(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gpus); i++) {
		struct p2pdma_buffer *buffer;
		char name[64];

		fake_drm_add(gpus[i]);
		/* What amdgpu maps into each file is no object of ours. */
		fake_drm.empty_bytes = 2 * MIB;
		buffer = new (MIB, 0);
		assert_int_equal(fake_drm_last()->place, FAKE_PLACE_DEVICE);
		assert_int_equal(p2pdma_buffer_size_bytes(buffer), MIB);
		assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_DRM);
		snprintf(name, sizeof(name), FAKE_DRM_FUNCTION "/vram@");
		assert_int_equal(strncmp(p2pdma_buffer_name(buffer), name, strlen(name)), 0);
		assert_int_equal(place_flags(buffer), IN_DEVICE);
		fake.on_register = attach;
		fake.on_register_data = buffer;
		assert_int_equal(try_register(buffer),
				 strcmp(gpus[i], "nouveau") ? 0 : -EOPNOTSUPP);
		p2pdma_buffer_free(buffer);
	}
}

static void new_each_in_a_file_of_its_own(void **state)
{
	struct p2pdma_buffer *buffers[3];

	(void)state;
	fake_drm_add("amdgpu");
	for (size_t i = 0; i < ARRAY_SIZE(buffers); i++)
		buffers[i] = new ((i + 1) * MIB, 0);
	assert_int_equal(fake_drm.nr_files, 3);
	/* One that is moved says nothing about the others. */
	fake_drm.objects[1].place = FAKE_PLACE_SYSTEM;
	assert_int_equal(place_flags(buffers[0]), IN_DEVICE);
	assert_int_equal(place_flags(buffers[1]), IN_SYSTEM);
	assert_int_equal(place_flags(buffers[2]), IN_DEVICE);
	for (size_t i = 0; i < ARRAY_SIZE(buffers); i++)
		p2pdma_buffer_free(buffers[i]);
}

static void new_without_room_is_no_system_memory(void **state)
{
	static const int errors[] = {-EOPNOTSUPP, -ENOSPC, -ENOSPC, -EOPNOTSUPP};
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gpus); i++) {
		fake_drm_add(gpus[i]);
		fake_drm.is_full = true;
		assert_int_equal(try_new(MIB, 0, &buffer), errors[i]);
		assert_cause(gpus[i]);
		if (errors[i] == -EOPNOTSUPP)
			assert_cause("system memory");
		assert_null(buffer);
		assert_int_equal(fake_drm.nr_files, 0);
	}
}

static void new_without_room_where_system_is_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gpus); i++) {
		struct p2pdma_buffer *buffer;

		fake_drm_add(gpus[i]);
		fake_drm.is_full = true;
		buffer = new (MIB, P2PDMA_BUFFER_ALLOW_SYSTEM);
		fake_drm_attach(true);
		assert_int_equal(place_flags(buffer), IN_SYSTEM);
		assert_int_equal(try_register(buffer), 0);
		p2pdma_buffer_free(buffer);
	}
}

static void register_that_moves_it_is_undone(void **state)
{
	struct p2pdma_buffer *buffer;

	(void)state;
	fake_drm_add("amdgpu");
	buffer = new (MIB, 0);
	fake.on_register = attach;
	fake.on_register_data = NULL;
	assert_int_equal(try_register(buffer), -EOPNOTSUPP);
	assert_cause("amdgpu has the object in system memory");
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(place_flags(buffer), IN_SYSTEM);
	p2pdma_buffer_free(buffer);

	/* It may be moved where that was allowed, and is told. */
	buffer = new (MIB, P2PDMA_BUFFER_ALLOW_SYSTEM);
	assert_int_equal(place_flags(buffer), IN_DEVICE);
	assert_int_equal(try_register(buffer), 0);
	assert_int_equal(place_flags(buffer), IN_SYSTEM);
	p2pdma_buffer_free(buffer);
}

static void register_xe_stays(void **state)
{
	struct p2pdma_buffer *buffer;

	(void)state;
	fake_drm_add("xe");
	buffer = new (MIB, 0);
	assert_int_equal(fake_drm_last()->allowed, FAKE_PLACE_DEVICE);
	fake.on_register = attach;
	assert_int_equal(try_register(buffer), 0);
	assert_int_equal(place_flags(buffer), IN_DEVICE);
	p2pdma_buffer_free(buffer);
	buffer = new (MIB, P2PDMA_BUFFER_ALLOW_SYSTEM);
	assert_int_equal(fake_drm_last()->allowed, FAKE_PLACE_DEVICE | FAKE_PLACE_SYSTEM);
	p2pdma_buffer_free(buffer);
}

static void new_where_the_kernel_tells_nothing(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	fake_drm_add("amdgpu");
	fake_drm.is_silent = true;
	assert_int_equal(try_new(MIB, 0, &buffer), -EOPNOTSUPP);
	assert_cause("doesn't tell where amdgpu has the object");
	buffer = new (MIB, P2PDMA_BUFFER_ALLOW_SYSTEM);
	assert_int_equal(place_flags(buffer), 0);
	p2pdma_buffer_free(buffer);

	/* What may be nowhere else needs no word of the kernel. */
	fake_drm_add("xe");
	fake_drm.is_silent = true;
	buffer = new (MIB, 0);
	assert_int_equal(place_flags(buffer), IN_DEVICE);
	p2pdma_buffer_free(buffer);
}

static void query_that_fails_knows_no_place(void **state)
{
	struct p2pdma_buffer *buffer;

	(void)state;
	fake_drm_add("amdgpu");
	buffer = new (MIB, 0);
	fake_fail(FAKE_OPEN, -EMFILE, 0);
	assert_int_equal(place_flags(buffer), 0);
	assert_int_equal(place_flags(buffer), IN_DEVICE);
	p2pdma_buffer_free(buffer);
}

static void new_on_a_gpu_without_memory(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	for (size_t i = 1; i < 3; i++) {
		fake_drm_add(gpus[i]);
		fake_drm.is_integrated = true;
		assert_int_equal(try_new(MIB, 0, &buffer), -EOPNOTSUPP);
		assert_cause("no memory of its own");
	}
}

static void new_xe_in_its_own_pages(void **state)
{
	struct p2pdma_buffer *buffer;

	(void)state;
	fake_drm_add("xe");
	buffer = new (4096, 0);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 64 * 1024);
	p2pdma_buffer_free(buffer);
}

static void new_bad_amount_einval(void **state)
{
	struct p2pdma_range ranges[2] = {{0, MIB}, {MIB, MIB}};
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_provider *provider;

	fake_drm_add("amdgpu");
	tell_size();
	provider = find();
	assert_int_equal(p2pdma_provider_size_bytes(provider), 256 * MIB);
	assert_int_equal(p2pdma_buffer_new(*state, provider, &ranges[1], 1, NULL, &buffer),
			 -EINVAL);
	assert_cause("lays it out");
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, 2, NULL, &buffer), -EINVAL);
	ranges[0].length_bytes = 512 * MIB;
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, 1, NULL, &buffer), -EINVAL);
	assert_cause("which has 0x10000000");
	p2pdma_provider_unref(provider);
	assert_int_equal(try_new(0, 0, &buffer), -EINVAL);
	assert_int_equal(try_new(1000, 0, &buffer), -EINVAL);
	assert_int_equal(fake.nr_opens, 0);
}

static void new_fails_whole(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	fake_drm_add("amdgpu");
	tell_size();
	for (int i = 0; i < 3; i++) {
		/* The node, its fdinfo before, and after. */
		fake_fail(FAKE_OPEN, i ? -EMFILE : -EACCES, i);
		assert_int_equal(try_new(MIB, 0, &buffer), i ? -EMFILE : -EACCES);
		assert_int_equal(fake_drm.nr_files, 0);
	}
	fake_fail(DRM_IOCTL_VERSION, -EIO, 0);
	assert_int_equal(try_new(MIB, 0, &buffer), -EIO);
	fake_fail(DRM_IOCTL_PRIME_HANDLE_TO_FD, -ENOMEM, 0);
	assert_int_equal(try_new(MIB, 0, &buffer), -ENOMEM);
	fake_fail(FAKE_SIZE, -EIO, 0);
	assert_int_equal(try_new(MIB, 0, &buffer), -EIO);
	/* The node, then the DMABUF. */
	fake_fail(FAKE_STAT, -EIO, 1);
	assert_int_equal(try_new(MIB, 0, &buffer), -EIO);
	assert_int_equal(fake_drm.nr_files, 0);
	assert_null(buffer);
}

static void new_takes_interruptions(void **state)
{
	(void)state;
	fake_drm_add("amdgpu");
	tell_size();
	fake_fail(DRM_IOCTL_VERSION, -EINTR, 0);
	fake_fail(DRM_IOCTL_VERSION, -EAGAIN, 0);
	fake_fail(DRM_IOCTL_PRIME_HANDLE_TO_FD, -EINTR, 0);
	p2pdma_buffer_free(new (MIB, 0));
}

static void leave_ends_it(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer;
	struct pci_address address;

	fake_drm_add("amdgpu");
	buffer = new (MIB, 0);
	fake_remove_function(FAKE_DRM_FUNCTION);
	assert_int_equal(pci_address_parse(FAKE_DRM_FUNCTION, &address), 0);
	pthread_mutex_lock(&((struct p2pdma_context *)*state)->lock);
	device_left(*state, &address);
	pthread_mutex_unlock(&((struct p2pdma_context *)*state)->lock);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_GONE);
	assert_int_equal(try_register(buffer), -ENODEV);
	p2pdma_buffer_free(buffer);
}

static void unbind_without_a_descriptor_left(void **state)
{
	struct p2pdma_context *context = *state;
	struct rlimit before, none;
	struct p2pdma_buffer *buffer;

	fake_drm_add("amdgpu");
	buffer = new (MIB, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	/* Heard late: the driver is there again, and has made this buffer. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "unbind", FAKE_DRM_FUNCTION);
	pthread_mutex_unlock(&context->lock);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fake_no_event();
	assert_int_equal(place_flags(buffer), IN_DEVICE);
	p2pdma_buffer_free(buffer);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, fake_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(new_in_memory_of_the_device),
		CASE(new_each_in_a_file_of_its_own),
		CASE(new_without_room_is_no_system_memory),
		CASE(new_without_room_where_system_is_allowed),
		CASE(register_that_moves_it_is_undone),
		CASE(register_xe_stays),
		CASE(new_where_the_kernel_tells_nothing),
		CASE(query_that_fails_knows_no_place),
		CASE(new_on_a_gpu_without_memory),
		CASE(new_xe_in_its_own_pages),
		CASE(new_bad_amount_einval),
		CASE(new_fails_whole),
		CASE(new_takes_interruptions),
		CASE(leave_ends_it),
		CASE(unbind_without_a_descriptor_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
