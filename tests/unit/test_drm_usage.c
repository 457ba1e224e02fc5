// SPDX-License-Identifier: MIT
/* What the kernel tells of the memory of a DRM file, and the parts of its ABI that we wrote down. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include <nouveau_drm.h>

#include "drm/abi.h"
#include "drm/object.h"
#if __has_include(<xe_drm.h>)
#include <xe_drm.h>
#endif

#define KIB 1024ULL

static struct drm_usage parse(const char *text)
{
	struct drm_usage usage = {.is_known = false};
	char *copy = strdup(text), *rest = copy, *line;

	while ((line = strsep(&rest, "\n")))
		assert_false(drm_usage_take(&usage, line));
	free(copy);
	return usage;
}

static void parse_regions_of_each_driver(void **state)
{
	struct drm_usage usage;

	(void)state;
	usage = parse("pos:\t0\ndrm-driver:\tamdgpu\ndrm-total-vram:\t99 MiB\n"
		      "drm-resident-vram:\t3 KiB\ndrm-resident-gtt:\t5 KiB\n"
		      "drm-resident-cpu:\t7 KiB\ndrm-resident-doorbell:\t1 MiB\n"
		      "amd-evicted-vram:\t4 MiB\n");
	assert_true(usage.is_known);
	assert_int_equal(usage.device_bytes, 3 * KIB);
	assert_int_equal(usage.system_bytes, 12 * KIB);
	usage = parse("drm-resident-vram0:\t2 MiB\ndrm-resident-vram1:\t1 MiB\n"
		      "drm-resident-gtt:\t0\ndrm-resident-system:\t4096\n");
	assert_int_equal(usage.device_bytes, 3 * MIB);
	assert_int_equal(usage.system_bytes, 4096);
	usage = parse("drm-resident-local0:\t8 KiB\ndrm-resident-system0:\t16 KiB\n"
		      "drm-resident-stolen-local0:\t32 KiB\n");
	assert_int_equal(usage.device_bytes, 40 * KIB);
	assert_int_equal(usage.system_bytes, 16 * KIB);
}

static void parse_old_names_once(void **state)
{
	struct drm_usage usage;

	(void)state;
	usage = parse("drm-memory-vram:\t3 KiB\ndrm-memory-gtt: \t5 KiB\n");
	assert_int_equal(usage.device_bytes, 3 * KIB);
	assert_int_equal(usage.system_bytes, 5 * KIB);
	usage = parse("drm-resident-vram:\t3 KiB\ndrm-memory-vram:\t3 KiB\n"
		      "drm-resident-gtt:\t5 KiB\ndrm-memory-gtt:\t5 KiB\n");
	assert_int_equal(usage.device_bytes, 3 * KIB);
	assert_int_equal(usage.system_bytes, 5 * KIB);
	usage = parse("drm-memory-gtt:\t9 KiB\ndrm-resident-vram:\t3 KiB\n");
	assert_int_equal(usage.device_bytes, 3 * KIB);
	assert_int_equal(usage.system_bytes, 0);
}

static void parse_nonsense_is_nothing_known(void **state)
{
	static const char *const texts[] = {
		"",
		"\n\n",
		"drm-resident-vram",
		"drm-resident-vram:",
		"drm-resident-vram:\t-5 KiB\n",
		"drm-resident-vram:\tKiB\n",
		"drm-resident-vram:\t5 parsecs\n",
		"drm-resident-vram:\t99999999999999999999999 KiB\n",
		"drm-resident-vram:\t18446744073709551615 KiB\n",
		"drm-resident-doorbell:\t5 KiB\n",
		"drm-total-vram:\t5 KiB\n",
		" drm-resident-vram:\t5 KiB\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct drm_usage usage = parse(texts[i]);

		if (usage.is_known || usage.device_bytes || usage.system_bytes)
			fail_msg("something was made of \"%s\"", texts[i]);
	}
}

/* As Linux 7.3's headers have them. */
static void abi_as_the_kernel_has_it(void **state)
{
	(void)state;
	assert_int_equal(XE_ABI_DEVICE_QUERY, 0xc0286440);
	assert_int_equal(XE_ABI_GEM_CREATE, 0xc0386441);
	assert_int_equal(VIRTIO_ABI_CREATE_BLOB, 0xc030644a);
	assert_int_equal(VIRTIO_ABI_RESOURCE_INFO, 0xc0106445);
	assert_int_equal(NOUVEAU_ABI_GETPARAM, 0xc0106440);
	assert_int_equal(NOUVEAU_ABI_GEM_NEW, 0xc0306480);
	assert_int_equal(NOUVEAU_ABI_GEM_INFO, 0xc0286484);
	assert_int_equal(sizeof(struct xe_abi_mem_region), 88);
	assert_int_equal(offsetof(struct xe_abi_mem_region, total_size), 8);
	assert_int_equal(offsetof(struct xe_abi_gem_create, placement), 16);
	assert_int_equal(offsetof(struct xe_abi_gem_create, handle), 28);
	assert_int_equal(offsetof(struct xe_abi_gem_create, cpu_caching), 32);
	assert_int_equal(offsetof(struct virtio_abi_create_blob, size), 16);
	assert_int_equal(offsetof(struct virtio_abi_create_blob, blob_id), 40);
#ifdef DRM_IOCTL_XE_GEM_CREATE
	assert_int_equal(XE_ABI_DEVICE_QUERY, DRM_IOCTL_XE_DEVICE_QUERY);
	assert_int_equal(XE_ABI_GEM_CREATE, DRM_IOCTL_XE_GEM_CREATE);
	assert_int_equal(XE_ABI_GEM_NEEDS_VISIBLE_VRAM, DRM_XE_GEM_CREATE_FLAG_NEEDS_VISIBLE_VRAM);
	assert_int_equal(XE_ABI_CPU_CACHING_WC, DRM_XE_GEM_CPU_CACHING_WC);
	assert_int_equal(XE_ABI_MEM_CLASS_VRAM, DRM_XE_MEM_REGION_CLASS_VRAM);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_regions_of_each_driver),
		cmocka_unit_test(parse_old_names_once),
		cmocka_unit_test(parse_nonsense_is_nothing_known),
		cmocka_unit_test(abi_as_the_kernel_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
