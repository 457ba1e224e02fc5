// SPDX-License-Identifier: MIT
/* The doctor: providers, and what it tries. */
#include <errno.h>

#include "doctor_machine.h"

static void provider_export_by_driver(void **state)
{
	(void)state;
	examine();
	assert_finding("provider.export", GPU "/2", OK, "16 GiB, export: through", "");
	assert_finding("provider.list", "machine", OK, "1 functions", "");
	fake.access_errors = -EACCES;
	examine();
	assert_finding("provider.export", GPU "/2", WARNING, "EACCES", "acquire it from p2pd");
	fake.access_errors = 0;
	fake_unlink("dev/p2pdma/" GPU);
	replace_gpu(&(struct fake_pci){.driver = "nvme"});
	examine();
	assert_finding("provider.export", GPU "/2", OK, "in the hands of nvme; `p2pctl bind", "");
	replace_gpu(&(struct fake_pci){.driver = NULL});
	examine();
	assert_finding("provider.export", GPU "/2", OK, "in the hands of no driver", "");
	fake_mkdir("sys/devices/pci0000:00/0000:00:01.0/" GPU "/drm/card0");
	fake_mkdir("sys/class/drm");
	fake_link("../../devices/pci0000:00/0000:00:01.0/" GPU "/drm/card0", "sys/class/drm/card0");
	replace_gpu(&(struct fake_pci){.driver = "amdgpu"});
	examine();
	assert_finding("provider.export", GPU "/2", OK, "hands of amdgpu, which has no render node",
		       "");
	fake_write("sys/bus/pci/devices/" GPU "/resource", "nonsense\n");
	examine();
	assert_none("provider.export", GPU "/2");
	assert_finding("provider.list", "machine", PROBLEM, "no function has a BAR", "GPU");
}

/* Memory that a driver divides up is a provider of its own. */
static void provider_memory_of_drivers(void **state)
{
	(void)state;
	fake_mkdir("sys/bus/pci/devices/" GPU "/p2pmem");
	fake_write("sys/bus/pci/devices/" GPU "/p2pmem/size", "67108864\n");
	fake_mkdir("sys/bus/pci/devices/" GPU "/drm/renderD128");
	examine();
	assert_finding("provider.export", GPU "/p2pmem", WARNING, "64 MiB, but this process can't",
		       "p2pmem/allocate");
	/* p2pdma_export isn't a driver of DRM's. */
	assert_finding("provider.export", GPU "/vram", WARNING, "memory of unknown size",
		       "p2pdma_buffer_adopt()");
	fake_mkdir("dev/dri");
	fake_write("dev/dri/renderD128", "");
	replace_gpu(&(struct fake_pci){.driver = "amdgpu"});
	fake_write("sys/bus/pci/devices/" GPU "/mem_info_vram_total", "17179869184\n");
	examine();
#ifdef HAVE_DRM
	assert_finding("provider.export", GPU "/vram", OK, "16 GiB, drm", "");
#else
	assert_finding("provider.export", GPU "/vram", WARNING, "16 GiB", "adopt");
#endif
}

static void provider_bar_sizes(void **state)
{
	(void)state;
	examine();
	assert_finding("provider.bar", GPU "/2", OK, "16 GiB, and it can't be resized", "");
	replace_gpu(&(struct fake_pci){.resizable = 0x7f00});
	examine();
	assert_finding("provider.bar", GPU "/2", OK, "the largest of its sizes", "");
	replace_gpu(&(struct fake_pci){.resizable = 0x1ff00, .has_acs = true});
	examine();
	assert_finding("provider.bar", GPU "/2", WARNING, "has 16 GiB and could have 64 GiB",
		       "Above 4G");
	fake_mkdir("sys/bus/pci/devices/" GPU "/drm/renderD128");
	fake_write("sys/bus/pci/devices/" GPU "/mem_info_vram_total", "25753026560\n");
	examine();
	assert_finding("provider.bar", GPU "/2", WARNING, "shows 16 GiB of 23.98 GiB", "4G");
	assert_finding("provider.bar", GPU "/2", WARNING, "could be 64 GiB", "Resizable BAR");
	fake_write("sys/bus/pci/devices/" GPU "/mem_info_vram_total", "17179869184\n");
	examine();
	assert_finding("provider.bar", GPU "/2", OK, "all of the device's memory", "");
}

static void provider_bar_without_privilege(void **state)
{
	(void)state;
	replace_gpu(&(struct fake_pci){.is_hidden = true});
	examine();
	assert_finding("provider.bar", GPU "/2", UNKNOWN, "CAP_SYS_ADMIN", "root");
	fake_write("sys/bus/pci/devices/" GPU "/resource2_resize", "00000000000fff00\n");
	examine();
	assert_finding("provider.bar", GPU "/2", WARNING, "could have 512 GiB", "Resizable");
	fake_write("sys/bus/pci/devices/" GPU "/resource2_resize", "0x what\n");
	examine();
	assert_finding("provider.bar", GPU "/2", UNKNOWN, "CAP_SYS_ADMIN", "root");
}

static void vfio_needs_an_iommu(void **state)
{
	(void)state;
	fake_unlink("dev/p2pdma/" GPU);
	replace_gpu(&(struct fake_pci){.driver = "vfio-pci"});
	examine();
	assert_finding("kernel.vfio", "vfio-pci", PROBLEM, "no IOMMU", "VT-d");
	fake_iommu_set(GPU, 7, "DMA\n");
	fake_mkdir("dev/vfio");
	fake_write("dev/vfio/7", "");
	fake_write("dev/vfio/vfio", "");
	fake_write("dev/iommu", "");
	examine();
	assert_finding("kernel.vfio", "vfio-pci", UNKNOWN, "only an open function", "--try");
	assert_finding("provider.export", GPU "/2", OK, "vfio: through /dev/vfio/7", "");
	assert_finding("permission.node", "/dev/vfio/7", OK, "may be opened", "");
	assert_finding("permission.node", "/dev/iommu", OK, "may be opened", "");
	assert_none("permission.node", "/dev/vfio/vfio");
	assert_int_equal(fake.nr_opens, 0);
}

static void try_asks_vfio(void **state)
{
	(void)state;
	fake_unlink("dev/p2pdma/" GPU);
	replace_gpu(&(struct fake_pci){.driver = "vfio-pci"});
	fake_iommu_set(GPU, 7, "DMA\n");
	fake_mkdir("dev/vfio");
	fake_write("dev/vfio/7", "");
	fake_write("dev/vfio/vfio", "");
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.vfio", GPU "/2", OK, "VFIO exports", "");
	assert_finding("kernel.vfio", "vfio-pci", OK, "see try.vfio", "");
	fake.has_dma_buf = false;
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.vfio", GPU "/2", PROBLEM, "doesn't export", "p2pdma_export");
	fake_fail(FAKE_OPEN, -EBUSY, 0);
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.vfio", GPU "/2", UNKNOWN, "somebody else has it", "fuser");
}

static void try_registers_a_page(void **state)
{
	(void)state;
	examine();
	assert_none("try.register", NULL);
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.register", GPU "/2 to mlx5_0", OK, "was registered", "");
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(fake.exports[0].flags, 0);
	fake.verbs_error = -EINVAL;
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.register", GPU "/2 to mlx5_0", PROBLEM, "EINVAL",
		       "p2pctl check " GPU "/2 mlx5_0");
	fake_fail(P2PDMA_EXPORT_EXPORT, -EBUSY, 0);
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.register", GPU "/2", PROBLEM, "reset or suspended", "p2pctl bind");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(provider_export_by_driver), CASE(provider_memory_of_drivers),
		CASE(provider_bar_sizes),	 CASE(provider_bar_without_privilege),
		CASE(vfio_needs_an_iommu),	 CASE(try_asks_vfio),
		CASE(try_registers_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
