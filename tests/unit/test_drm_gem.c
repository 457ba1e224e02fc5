// SPDX-License-Identifier: MIT
/* GEM objects of the caller, objects on its descriptor, and the cooperative revocation. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <drm.h>
#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake_drm.h"
#include "event/hotplug.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

static int teardown(void **state)
{
	assert_int_equal(fake_drm.nr_files, 0);
	assert_int_equal(fake_drm_nr_handles(), 0);
	return fake_teardown(state);
}

static struct p2pdma_buffer_options with(uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;

	options.flags = flags;
	return options;
}

static void new_drm_of_virtual_devices(void **state)
{
	static const char *const drivers[] = {"vgem", "virtio_gpu", "virtio_gpu", "virtio_gpu"};
	struct p2pdma_buffer_options options = with(P2PDMA_BUFFER_ALLOW_SYSTEM);
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer;
	char name[64];
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		fake_drm_add(drivers[i]);
		fake_drm.has_blob = i == 2;
		fake_drm.has_3d = i == 3;
		fd = fake_drm_node(FAKE_DRM_PRIMARY);
		buffer = NULL;
		assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, NULL, &buffer),
				 -EOPNOTSUPP);
		assert_cause("system memory");
		assert_null(buffer);
		assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), 0);
		assert_int_equal(p2pdma_buffer_size_bytes(buffer), MIB);
		assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
		assert_int_equal(status.flags, P2PDMA_STATUS_PLACED | P2PDMA_STATUS_SYSTEM);
		snprintf(name, sizeof(name), "drm:%s:%" PRIu64, drivers[i],
			 p2pdma_buffer_inode(buffer));
		assert_string_equal(p2pdma_buffer_name(buffer), name);
		if (i == 1)
			assert_int_equal(fake_drm.last_target, 2);
		if (i == 3)
			assert_int_equal(fake_drm.last_target, 0);
		p2pdma_buffer_free(buffer);
		fake_sys.close(fd);
	}
}

static void new_drm_bad_arguments(void **state)
{
	struct p2pdma_buffer_options options = with(P2PDMA_BUFFER_ALLOW_SYSTEM);
	struct p2pdma_buffer *buffer = NULL;
	int fd;

	fake_drm_add("vgem");
	fd = fake_drm_node(FAKE_DRM_PRIMARY);
	assert_int_equal(p2pdma_buffer_new_drm(NULL, fd, MIB, &options, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, NULL), -EINVAL);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, 0, &options, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, 1000, &options, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, 1ULL << 32, &options, &buffer), -EINVAL);
	assert_cause("below 4 GiB");
	assert_int_equal(p2pdma_buffer_new_drm(*state, fake.bar_fd, MIB, &options, &buffer),
			 -EINVAL);
	assert_cause("no DRM device");
	assert_int_equal(p2pdma_buffer_new_drm(*state, 200, MIB, &options, &buffer), -EBADF);
	options.backend = P2PDMA_BACKEND_VFIO;
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), -EINVAL);
	options = with(P2PDMA_BUFFER_ALLOW_UNREVOCABLE);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), -EOPNOTSUPP);
	assert_cause("let importers in that can't be revoked");
	options = with(P2PDMA_BUFFER_INHERIT);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), -EOPNOTSUPP);
	assert_cause("can't share its memory with children");
	options = with(P2PDMA_BUFFER_ALLOW_SYSTEM);
	fake_fail(DRM_IOCTL_MODE_CREATE_DUMB, -EACCES, 0);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), -EACCES);
	assert_cause("primary node");
	fake_drm.driver = "radeon";
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), -EOPNOTSUPP);
	assert_cause("p2pdma_buffer_new_gem()");
	assert_null(buffer);
	fake_sys.close(fd);
}

static void new_drm_leaves_the_display_to_others(void **state)
{
	struct p2pdma_buffer_options options = with(P2PDMA_BUFFER_ALLOW_SYSTEM);
	struct p2pdma_buffer *buffer = NULL;
	int fd;

	fake_drm_add("vgem");
	fd = fake_drm_node(FAKE_DRM_PRIMARY);
	assert_int_equal(fake_sys.ioctl(fd, DRM_IOCTL_DROP_MASTER, NULL), 0);
	assert_int_equal(p2pdma_buffer_new_drm(*state, fd, MIB, &options, &buffer), 0);
	assert_int_equal(fake_drm.master_fd, 0);
	p2pdma_buffer_free(buffer);
	fake_sys.close(fd);
}

static void new_gem_keeps_the_object(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	/* Others in the same file don't count. */
	assert_int_equal(fake_drm_make(fd, 8 * MIB, FAKE_PLACE_SYSTEM, &handle), 0);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), 0);
	assert_int_equal(fake_drm_last()->nr_handles, 2);
	fake_sys.close(fd);
	assert_int_equal(fake_drm_last()->nr_handles, 1);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), MIB);
	p2pdma_buffer_free(buffer);
	assert_int_equal(fake_drm_last()->nr_handles, 0);
}

static void new_gem_in_system_memory_eopnotsupp(void **state)
{
	struct p2pdma_buffer_options options = with(P2PDMA_BUFFER_ALLOW_SYSTEM);
	struct p2pdma_buffer *buffer = NULL;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_SYSTEM, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EOPNOTSUPP);
	assert_int_equal(fake_drm.nr_files, 1);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, &options, &buffer), 0);
	p2pdma_buffer_free(buffer);

	/* A driver that nothing is known of, and that tells nothing. */
	fake_drm.driver = "panthor";
	buffer = NULL;
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EOPNOTSUPP);
	assert_cause("doesn't tell where this DRM driver");
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, &options, &buffer), 0);
	p2pdma_buffer_free(buffer);
	fake_sys.close(fd);
}

static void new_gem_of_a_host_blob_is_the_device(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("virtio_gpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	fake_drm_last()->blob_mem = 2;
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), 0);
	p2pdma_buffer_free(buffer);
	fake_drm_last()->blob_mem = 3;
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EOPNOTSUPP);
	assert_cause("the guest's");
	fake_sys.close(fd);
}

static void new_gem_fails_whole(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, 77, NULL, &buffer), -ENOENT);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	fake_drm_last()->is_unshareable = true;
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EPERM);
	fake_drm_last()->is_unshareable = false;
	fake_fail(DRM_IOCTL_PRIME_FD_TO_HANDLE, -ENOMEM, 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -ENOMEM);
	fake_fail(FAKE_SIZE, -EIO, 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EIO);
	fake_fail(FAKE_SIZE, -EIO, 1);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EIO);
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EACCES);
	/* The node twice, for its function, and then the DMABUF. */
	fake_fail(FAKE_STAT, -EIO, 3);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), -EIO);
	assert_null(buffer);
	assert_int_equal(fake_drm.nr_files, 1);
	assert_int_equal(fake_drm_last()->nr_handles, 1);
	fake_sys.close(fd);
}

static void new_gem_learns_that_its_function_left(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = NULL;
	struct pci_address address;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), 0);
	fake_remove_function(FAKE_DRM_FUNCTION);
	assert_int_equal(pci_address_parse(FAKE_DRM_FUNCTION, &address), 0);
	pthread_mutex_lock(&((struct p2pdma_context *)*state)->lock);
	device_left(*state, &address);
	pthread_mutex_unlock(&((struct p2pdma_context *)*state)->lock);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_DEVICE_GONE);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_GONE);
	p2pdma_buffer_free(buffer);
	fake_sys.close(fd);
}

static void new_gem_learns_that_its_driver_left(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_context *context = *state;
	struct p2pdma_buffer *buffer = NULL;
	char from[256], to[256];
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(context, fd, handle, NULL, &buffer), 0);
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "unbind", FAKE_DRM_FUNCTION);
	pthread_mutex_unlock(&context->lock);
	fake_no_event();
	/* Bound anew before anybody heard of it. */
	snprintf(from, sizeof(from), "%s/sys/bus/pci/devices/%s/drm", fake.root, FAKE_DRM_FUNCTION);
	snprintf(to, sizeof(to), "%s/old", fake.root);
	assert_int_equal(rename(from, to), 0);
	fake_mkdir("sys/bus/pci/devices/" FAKE_DRM_FUNCTION "/drm/renderD128");
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "unbind", FAKE_DRM_FUNCTION);
	pthread_mutex_unlock(&context->lock);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_GONE);
	p2pdma_buffer_free(buffer);
	fake_sys.close(fd);
}

static struct p2pdma_buffer *vgem_buffer(void)
{
	struct p2pdma_buffer_options options = with(P2PDMA_BUFFER_ALLOW_SYSTEM);
	struct p2pdma_buffer *buffer = NULL;
	int fd;

	fake_drm_add("vgem");
	fd = fake_drm_node(FAKE_DRM_PRIMARY);
	assert_int_equal(p2pdma_buffer_new_drm(fake_context(), fd, MIB, &options, &buffer), 0);
	fake_sys.close(fd);
	return buffer;
}

static void revoke_lets_go_of_the_object(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = vgem_buffer();
	struct p2pdma_mr *mr = NULL;
	struct p2pdma_event event;
	void *address = NULL;

	(void)state;
	assert_int_equal(p2pdma_buffer_map(buffer, 0, 4096, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE,
					   &address),
			 0);
	assert_int_equal(write(fake.bar_fd, address, 1), 1);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), 0);
	/* The CPU finds nothing there any more. */
	assert_int_equal(write(fake.bar_fd, address, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(result.nr_buffers, 1);
	assert_int_equal(result.nr_remaining, 0);
	assert_int_equal(fake_drm_last()->nr_handles, 0);
	assert_int_equal(fake_drm.nr_files, 0);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_OWNER);
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &mr), -ESTALE);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), 0);
	assert_int_equal(result.nr_buffers, 0);
	fake_no_event();
	assert_int_equal(p2pdma_buffer_unmap(buffer, address), 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_with_registration_ebusy(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = vgem_buffer();
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 5, &result), -EBUSY);
	assert_cause("1 memory regions of this process");
	assert_int_equal(result.nr_remaining, 1);
	assert_true(result.duration_ns >= 5000000);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_REVOKING);
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(fake_drm_last()->nr_handles, 1);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), 0);
	assert_int_equal(fake_drm_last()->nr_handles, 0);
	p2pdma_buffer_free(buffer);
}

static void *deregister_soon(void *mr)
{
	usleep(20000);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	return NULL;
}

static void revoke_waits_for_registrations(void **state)
{
	struct p2pdma_buffer *buffer = vgem_buffer();
	struct p2pdma_mr *mr = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &mr), 0);
	assert_int_equal(pthread_create(&thread, NULL, deregister_soon, mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 10000, NULL), 0);
	pthread_join(thread, NULL);
	p2pdma_buffer_free(buffer);
}

static void free_leaves_the_dmabuf_to_others(void **state)
{
	struct p2pdma_mr_cache *cache = NULL;
	struct p2pdma_buffer *buffer = vgem_buffer(), *other = NULL;
	struct p2pdma_mr_attr attr = {
		.size_bytes = sizeof(attr),
		.access = ACCESS,
		.length_bytes = MIB,
	};
	struct p2pdma_mr *mr = NULL, *again = NULL;

	assert_int_equal(p2pdma_buffer_adopt(*state, p2pdma_buffer_fd(buffer), NULL, &other), 0);
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), NULL, &cache), 0);
	/* Both have been seen by the cache. */
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &attr, &mr), 0);
	assert_int_equal(p2pdma_mr_cache_release(mr), 0);
	assert_int_equal(p2pdma_mr_cache_drop(cache, buffer), 0);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, other, &attr, &mr), 0);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, other, &attr, &again), 0);
	assert_ptr_equal(again, mr);
	p2pdma_mr_cache_release(again);
	p2pdma_mr_cache_release(mr);
	p2pdma_mr_cache_free(cache);
	p2pdma_buffer_free(other);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, fake_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(new_drm_of_virtual_devices),
		CASE(new_drm_bad_arguments),
		CASE(new_drm_leaves_the_display_to_others),
		CASE(new_gem_keeps_the_object),
		CASE(new_gem_in_system_memory_eopnotsupp),
		CASE(new_gem_of_a_host_blob_is_the_device),
		CASE(new_gem_fails_whole),
		CASE(new_gem_learns_that_its_function_left),
		CASE(new_gem_learns_that_its_driver_left),
		CASE(revoke_lets_go_of_the_object),
		CASE(revoke_with_registration_ebusy),
		CASE(revoke_waits_for_registrations),
		CASE(free_leaves_the_dmabuf_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
