// SPDX-License-Identifier: MIT
/* Explanations: calls of DRM devices. */
#include <drm.h>

#include "explain_case.h"
#include "fake_drm.h"

static int drm_teardown(void **state)
{
	int r;

	fake_sys.close(request.device_fd);
	r = case_teardown(state);
	assert_int_equal(fake_drm.nr_files, 0);
	return r;
}

static void ask(uint32_t operation, const char *driver)
{
	request = (struct p2pdma_explain_request)P2PDMA_EXPLAIN_REQUEST_INIT;
	request.operation = operation;
	fake_drm_add(driver);
	request.device_fd = fake_drm_node(FAKE_DRM_RENDER);
}

static void allocate_refused(void **state)
{
	(void)state;
	ask(P2PDMA_OPERATION_GEM_ALLOCATE, "amdgpu");
	request.length_bytes = MIB;
	assert_explained(-ENOSPC, P2PDMA_CAUSE_NO_ROOM, false, "amdgpu has no 0x100000 bytes left");
	assert_remedy("resizable BAR");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_ROOM, false, "amdgpu has no 0x100000 bytes left");
	request.length_bytes = FAKE_DRM_VRAM + 4096;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_RANGE, true, "of which amdgpu has 0x10000000");
	assert_explained(-EINVAL, P2PDMA_CAUSE_MAKER_REFUSES, false, "makes no such object");
	request.length_bytes = 100;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "page size 4096");
	assert_explained(-EACCES, P2PDMA_CAUSE_PERMISSION, true, "and this is a render node");
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NO_METHOD, false, "amdgpu of this kernel");
	assert_explained(-EIO, P2PDMA_CAUSE_MAKER_REFUSES, false, "makes no such object");
	assert_explained(-ENODEV, P2PDMA_CAUSE_MAKER_REFUSES, false, "makes no such object");
	fake_unlink("sys/bus/pci/devices/" FAKE_DRM_FUNCTION "/driver");
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "the GPU " FAKE_DRM_FUNCTION);
	fake_unlink("sys/dev/char/226:128");
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "the GPU of descriptor ");
	/* What has no memory of its own takes the machine's. */
	fake_drm.driver = "vgem";
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "has no device");
	/* One that answers nothing has no name. */
	fake_fail(DRM_IOCTL_VERSION, -EIO, 0);
	assert_explained(-ENOSPC, P2PDMA_CAUSE_NO_ROOM, false, "the DRM driver has no");
}

static void export_refused(void **state)
{
	(void)state;
	ask(P2PDMA_OPERATION_GEM_EXPORT, "xe");
	request.object = 9;
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_OBJECT, false, "has no GEM handle 9");
	assert_explained(-EPERM, P2PDMA_CAUSE_NOT_EXPORTABLE, false,
			 "xe doesn't share this object");
	assert_remedy("vm_id");
	assert_explained(-ENOSYS, P2PDMA_CAUSE_NO_METHOD, false, "xe of this kernel");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NO_METHOD, false, "xe of this kernel");
	assert_explained(-EINVAL, P2PDMA_CAUSE_MAKER_REFUSES, false, "doesn't export the object");
	assert_explained(-ENODEV, P2PDMA_CAUSE_MAKER_REFUSES, false, "doesn't export the object");
}

static void query_refused(void **state)
{
	static const int none[] = {-EINVAL, -ENOTTY, -EOPNOTSUPP};

	(void)state;
	ask(P2PDMA_OPERATION_GEM_QUERY, "i915");
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_explained(none[i], P2PDMA_CAUSE_NO_METHOD, false, "i915 of this kernel");
	assert_explained(-EIO, P2PDMA_CAUSE_MAKER_REFUSES, false, "doesn't answer");
	fake_sys.close(request.device_fd);
	assert_explained(-EBADF, P2PDMA_CAUSE_BAD_FD, true, "is no open one");
	request.device_fd = fake_add_fd(fake_make_dmabuf(4096), FAKE_DMABUF);
	assert_explained(-EINVAL, P2PDMA_CAUSE_NOT_DEVICE, true, "is no DRM device");
}

static void import_refused(void **state)
{
	static const char *const deaf[] = {"vgem", "i915", "nouveau"};
	static const int errors[] = {-EINVAL, -EOPNOTSUPP, -ENOTSUPP, -ENODEV, -ENOSYS};

	ask(P2PDMA_OPERATION_GEM_IMPORT, "amdgpu");
	request.fd = dmabuf;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_IMPORTER_REFUSES, false,
			 "amdgpu can't reach the DMABUF of p2pdma_export_core peer to peer");
	assert_explained(-ENOSYS, P2PDMA_CAUSE_NO_METHOD, false, "amdgpu of this kernel");
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "was revoked by its exporter");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "the kernel has no memory");
	assert_explained(-EIO, P2PDMA_CAUSE_IMPORTER_REFUSES, false, "doesn't take the DMABUF");
	/* What can't have gone was refused. */
	fake.exporter = "udmabuf";
	explained = (struct p2pdma_explanation)P2PDMA_EXPLANATION_INIT;
	assert_int_equal(p2pdma_explain(*state, ENODEV, &request, &explained), 0);
	assert_int_equal(explained.cause, P2PDMA_CAUSE_NO_PEER);
	fake.exporter = "p2pdma_export_core";
	request.buffer = fake_buffer(0, MIB, 0);
	assert_explained(-ENODEV, P2PDMA_CAUSE_NO_PEER, false, "amdgpu imports no DMABUFs");
	p2pdma_buffer_free(request.buffer);
	request.buffer = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(deaf); i++) {
		fake_drm.driver = deaf[i];
		for (size_t j = 0; j < ARRAY_SIZE(errors); j++)
			assert_explained(errors[j], P2PDMA_CAUSE_NO_PEER, false, deaf[i]);
	}
	request.fd = 999;
	assert_explained(-EBADF, P2PDMA_CAUSE_BAD_FD, true, "999 is no open descriptor");
	request.fd = request.device_fd;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NOT_DMABUF, true, "is no DMABUF");
	fake_unlink("sys/bus/pci/devices/" FAKE_DRM_FUNCTION "/driver");
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "the GPU " FAKE_DRM_FUNCTION);
}

static void import_path_blocked(void **state)
{
	(void)state;
	fake_cpu_set("GenuineIntel", 6);
	ask(P2PDMA_OPERATION_GEM_IMPORT, "amdgpu");
	request.fd = dmabuf;
	request.provider = GPU "/2";
	/* The DRM device is the function of the NIC. */
	fake_link("../../devices/pci0000:00/0000:00:02.0/" NIC "/drm/renderD128",
		  "sys/dev/char/226:128");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_PATH, true, NIC " can't reach " GPU "/2");
	assert_explained(-EINVAL, P2PDMA_CAUSE_PATH, true, NIC " can't reach " GPU "/2");
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, case_setup, drm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(allocate_refused), CASE(export_refused),	   CASE(query_refused),
		CASE(import_refused),	CASE(import_path_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
