// SPDX-License-Identifier: MIT
/* The doctor: what it says of GPUs, by what is known of their drivers. */
#include <errno.h>

#include "doctor_case.h"

#define GPU	"0000:11:00.0"
#define HERE	"sys/bus/pci/devices/" GPU
#define NONE	"0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
#define NO_BARS NONE NONE NONE NONE NONE NONE

static void add_gpu(const char *driver)
{
	fake_unlink(HERE "/driver");
	fake_unlink(HERE);
	fake_pci_add(&(struct fake_pci){
		.address = GPU, .above = "0000:00:01.0", .class_code = 0x030000, .driver = driver});
}

static int setup(void **state)
{
	int r = doctor_setup(state);

	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:01.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_mkdir("sys/devices/pci0000:00/0000:00:01.0/" GPU "/drm/card0");
	fake_mkdir("sys/devices/pci0000:00/0000:00:01.0/" GPU "/drm/renderD128");
	fake_mkdir("sys/class/drm");
	fake_link("../../devices/pci0000:00/0000:00:01.0/" GPU "/drm/card0", "sys/class/drm/card0");
	fake_mkdir("dev/dri");
	fake_write("dev/dri/renderD128", "");
	fake_mkdir("sys/class/p2pdma_export");
	return r;
}

/* The BAR isn't what the driver exports, whatever driver that is. */
static void bar_of_a_gpu_leads_to_its_vram(void **state)
{
	static const char *const drivers[] = {"amdgpu",	 "xe",	   "i915",
					      "nouveau", "nvidia", "virtio-pci"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		char hands[64];

		add_gpu(drivers[i]);
		examine();
		snprintf(hands, sizeof(hands), "16 GiB, in the hands of %s: what", drivers[i]);
		assert_finding("provider.export", GPU "/2", OK, hands, "");
		assert_finding("provider.export", GPU "/2", OK, "is said of " GPU "/vram", "");
	}
}

static void drivers_that_give_it(void **state)
{
	static const char *const drivers[] = {"amdgpu", "xe"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		add_gpu(drivers[i]);
		examine();
		assert_finding("provider.export", GPU "/vram", OK, "by /dev/dri/renderD128", "");
		assert_finding("provider.list", "machine", OK, "2 providers, 1 of them", "");
	}
}

/* They allocate and export, and no peer gets at it: docs/sources.md. */
static void drivers_that_keep_it_from_peers(void **state)
{
	static const struct {
		const char *driver, *evidence;
	} drivers[] = {
		{"i915", "don't get it from i915: most kernels let no other device"},
		{"nouveau", "don't get it from nouveau: it moves what it exports to system memory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		add_gpu(drivers[i].driver);
		examine();
		assert_finding("provider.export", GPU "/vram", WARNING, drivers[i].evidence,
			       "P2PDMA_BUFFER_ALLOW_SYSTEM");
		assert_finding("provider.list", "machine", OK, "1 providers, 0 of them", "");
		/* Nothing exports here, then. */
		assert_finding("p2pd.socket", "p2pd", WARNING, "", "systemctl");
	}
}

/* Others than this library may export it. */
static void driver_of_others_is_left_to_its_runtime(void **state)
{
	(void)state;
	add_gpu("nvidia");
	examine();
	assert_finding("provider.export", GPU "/vram", WARNING, "can't allocate with nvidia",
		       "p2pdma_buffer_new_pointer()");
}

/* The guest's memory is no peer's, nothing is wrong with that, and there is no path to it. */
static void memory_of_the_machine_is_no_provider(void **state)
{
	(void)state;
	add_gpu("virtio-pci");
	fake_write(HERE "/resource", NO_BARS);
	fake_rdma_add("mlx5_0", "0000:00:01.0");
	examine();
	assert_finding("provider.export", GPU "/vram", OK,
		       "no memory of the device is lent by virtio-pci: what it allocates is system",
		       "");
	assert_none("provider.path", NULL);
	assert_finding("provider.list", "machine", PROBLEM, "vram or p2pmem", "GPU");
}

/* Whatever its BAR is. */
static void vram_needs_no_bar(void **state)
{
	(void)state;
	add_gpu("amdgpu");
	fake_write(HERE "/resource", NO_BARS);
	fake_write(HERE "/mem_info_vram_total", "536870912\n");
	fake_rdma_add("mlx5_0", "0000:00:01.0");
	examine();
	assert_finding("provider.export", GPU "/vram", OK, "512 MiB, drm: amdgpu by", "");
	assert_finding("provider.path", GPU "/vram", OK, "1 importers straight", "");
	assert_none("provider.bar", NULL);
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, doctor_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bar_of_a_gpu_leads_to_its_vram),
		CASE(drivers_that_give_it),
		CASE(drivers_that_keep_it_from_peers),
		CASE(driver_of_others_is_left_to_its_runtime),
		CASE(memory_of_the_machine_is_no_provider),
		CASE(vram_needs_no_bar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
