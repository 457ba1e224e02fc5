// SPDX-License-Identifier: MIT
/* GPUs as providers: how much memory they have, and whether it can be had. */
#include <errno.h>
#include <string.h>

#include <p2pdma/p2pdma.h>

#include "fake_drm.h"

static struct p2pdma_provider *find(void)
{
	struct p2pdma_provider *provider = NULL;

	assert_int_equal(p2pdma_provider_find(fake_context(), FAKE_DRM_FUNCTION "/vram", &provider),
			 0);
	return provider;
}

static void find_asks_for_the_size(void **state)
{
	static const char *const gpus[] = {"amdgpu", "xe", "i915", "nouveau"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gpus); i++) {
		struct p2pdma_provider *provider;

		fake_drm_add(gpus[i]);
		provider = find();
		assert_int_equal(p2pdma_provider_size_bytes(provider), FAKE_DRM_VRAM);
		p2pdma_provider_unref(provider);
		fake_fail(FAKE_OPEN, -EACCES, 0);
		provider = find();
		assert_int_equal(p2pdma_provider_size_bytes(provider), 0);
		p2pdma_provider_unref(provider);
		assert_int_equal(fake_drm.nr_files, 0);
	}
	/* Not where sysfs tells it. */
	fake.nr_opens = 0;
	fake_drm_add("amdgpu");
	fake_write("sys/bus/pci/devices/" FAKE_DRM_FUNCTION "/mem_info_vram_total", "4096\n");
	p2pdma_provider_unref(find());
	assert_int_equal(fake.nr_opens, 0);
}

static void can_export_says_why(void **state)
{
	struct p2pdma_provider *provider;
	const char *why = NULL;

	(void)state;
	fake_drm_add("amdgpu");
	provider = find();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_DRM, &why), 1);
	assert_string_equal(why, "drm: amdgpu by /dev/dri/renderD128");
	p2pdma_provider_unref(provider);

	fake.access_errors = -EACCES;
	provider = find();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_AUTO, &why), 0);
	assert_non_null(strstr(why, "group"));
	p2pdma_provider_unref(provider);
	fake.access_errors = 0;

	fake_drm_add("nouveau");
	provider = find();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_DRM, &why), 1);
	assert_non_null(strstr(why, "moves what it exports"));
	p2pdma_provider_unref(provider);

	fake_drm_add("virtio_gpu");
	fake_link("../../../../bus/pci/drivers/virtio-pci",
		  "sys/bus/pci/devices/" FAKE_DRM_FUNCTION "/driver");
	provider = find();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_DRM, &why), 1);
	assert_non_null(strstr(why, "is system memory"));
	p2pdma_provider_unref(provider);

	fake_drm_add("radeon");
	provider = find();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_DRM, &why), 0);
	assert_non_null(strstr(why, "can't allocate with radeon"));
	p2pdma_provider_unref(provider);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(find_asks_for_the_size),
		CASE(can_export_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
