// SPDX-License-Identifier: MIT
/* DRM devices that map buffers of others. */
#include <errno.h>

#include <p2pdma/p2pdma.h>

#include "fake_drm.h"

static int teardown(void **state)
{
	assert_int_equal(fake_drm.nr_files, 0);
	assert_int_equal(fake_drm_nr_handles(), 0);
	return fake_teardown(state);
}

static void import_gives_a_handle(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(p2pdma_gem_import(NULL, fd, &handle), -EINVAL);
	assert_int_equal(p2pdma_gem_import(buffer, fd, NULL), -EINVAL);
	assert_int_equal(p2pdma_gem_import(buffer, fake.bar_fd, &handle), -EINVAL);
	assert_int_equal(p2pdma_gem_import(buffer, fd, &handle), 0);
	assert_non_null(fake_drm_find(fd, handle));
	assert_int_equal(p2pdma_gem_close(*state, fd, handle), 0);
	assert_int_equal(p2pdma_gem_close(*state, fd, handle), -EINVAL);
	assert_cause("no GEM handle");
	assert_int_equal(p2pdma_gem_close(NULL, fd, handle), -EINVAL);
	assert_int_equal(p2pdma_gem_close(*state, fake.bar_fd, handle), -EINVAL);
	fake_sys.close(fd);
	p2pdma_buffer_free(buffer);
}

static void import_refused_or_revoked(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	uint32_t handle = 0;
	int fd;

	(void)state;
	fake_drm_add("vgem");
	fd = fake_drm_node(FAKE_DRM_PRIMARY);
	assert_int_equal(p2pdma_gem_import(buffer, fd, &handle), -EOPNOTSUPP);
	assert_cause("vgem maps no memory of other devices");
	/* The kernel's word about the buffer goes before the driver's. */
	fake.exports[0].state = P2PDMA_EXPORT_STATE_REVOKED;
	fake.exports[0].reason = P2PDMA_EXPORT_REASON_REMOVE;
	assert_int_equal(p2pdma_gem_import(buffer, fd, &handle), -ENODEV);
	assert_cause("has gone");
	p2pdma_buffer_free(buffer);
	buffer = fake_buffer(0, MIB, 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_gem_import(buffer, fd, &handle), -ESTALE);
	assert_int_equal(handle, 0);
	fake_sys.close(fd);
	p2pdma_buffer_free(buffer);
}

static void import_of_p2pmem_eopnotsupp(void **state)
{
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_range range = {0, MIB};
	struct p2pdma_buffer *buffer = NULL;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	fake_add_function("0000:42:00.0", "nvme");
	fake_mkdir("sys/bus/pci/devices/0000:42:00.0/p2pmem");
	fake_write("sys/bus/pci/devices/0000:42:00.0/p2pmem/size", "16777216\n");
	fake_write("sys/bus/pci/devices/0000:42:00.0/p2pmem/allocate", "");
	assert_int_equal(p2pdma_provider_find(*state, "0000:42:00.0/p2pmem", &provider), 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, &range, 1, NULL, &buffer), 0);
	p2pdma_provider_unref(provider);
	assert_int_equal(p2pdma_gem_import(buffer, fd, &handle), -EOPNOTSUPP);
	assert_cause("has no DMABUF");
	assert_int_equal(handle, 0);
	fake_sys.close(fd);
	p2pdma_buffer_free(buffer);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, fake_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(import_gives_a_handle),
		CASE(import_refused_or_revoked),
		CASE(import_of_p2pmem_eopnotsupp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
