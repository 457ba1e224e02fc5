// SPDX-License-Identifier: MIT
/* The doctor: RDMA devices, providers, paths and ports, and what it tries. */
#include <errno.h>
#include <stdlib.h>

#include <rdma/ib_user_ioctl_verbs.h>

#include "doctor_case.h"
#include "uverbs_abi.h"

#define GPU  "0000:11:00.0"
#define NIC  "0000:12:00.0"
#define NODE "dev/infiniband/uverbs0"

/* A GPU and an adapter below one port each; the processor forwards. */
static void add_machine(void)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:01.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:02.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = GPU,
					.above = "0000:00:01.0",
					.class_code = 0x030200,
					.driver = "p2pdma_export"});
	fake_pci_add(&(struct fake_pci){.address = NIC,
					.above = "0000:00:02.0",
					.driver = "mlx5_core",
					.is_relaxed = true});
	fake_rdma_add("mlx5_0", NIC);
	fake_mkdir("sys/class/infiniband/mlx5_0/ports/1");
	fake_write("sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n");
	fake_mkdir("sys/class/infiniband_verbs/uverbs0");
	fake_write("sys/class/infiniband_verbs/uverbs0/ibdev", "mlx5_0\n");
	fake_mkdir("dev/infiniband");
	fake_write(NODE, "");
	fake_write("dev/p2pdma/" GPU, "");
	fake.driver_id = RDMA_DRIVER_MLX5;
	fake.has_odp = true;
	/* Of the device that the library asks INFO of. */
	fake.info_bus = 0x11;
}

static int setup(void **state)
{
	int r = doctor_setup(state);

	add_machine();
	return r;
}

static void rdma_device_that_can_all(void **state)
{
	(void)state;
	fake.has_dmah = true;
	fake.data_direct = "/sys/devices/pci0000:00/0000:13:00.0";
	examine();
	assert_finding("rdma.devices", "machine", OK, "1 RDMA devices", "");
	assert_finding("rdma.port", "mlx5_0", OK, "port 1 is 4: ACTIVE", "");
	assert_finding("rdma.function", "mlx5_0", OK, "mapped for " NIC, "");
	assert_finding("rdma.iommu", "mlx5_0", OK, "no IOMMU translates for " NIC, "");
	assert_finding("rdma.ordering", "mlx5_0", OK, "loosely", "");
	assert_finding("rdma.register", "mlx5_0", OK, "driver mlx5 registers DMABUFs", "");
	assert_finding("rdma.library", "mlx5_0", OK, "has ibv_reg_dmabuf_mr()", "");
	assert_finding("rdma.odp", "mlx5_0", OK, "is there", "");
	assert_finding("rdma.revoke", "mlx5_0", OK, "taken back", "");
	assert_finding("rdma.dmah", "mlx5_0", OK, "DMA handles are there", "");
	assert_finding("rdma.data-direct", "mlx5_0", OK, "0000:13:00.0", "");
	assert_none("rdma.node", NULL);
	assert_none("rdma.open", NULL);
	/* Nothing was registered, and nothing opened but the RDMA device and what PATH is asked of. */
	assert_int_equal(fake.nr_opens, 1);
	assert_int_equal(fake.nr_mrs, 0);
}

static void rdma_device_with_less(void **state)
{
	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	fake_write("sys/class/infiniband/mlx5_0/ports/1/state", "1: DOWN\n");
	examine();
	assert_finding("rdma.library", "mlx5_0", OK, "libp2pdma calls the kernel itself", "");
	assert_finding("rdma.dmah", "mlx5_0", OK, "no DMA handles", "");
	assert_finding("rdma.data-direct", "mlx5_0", OK, "no data-direct function (ENODEV)", "");
	assert_finding("rdma.port", "mlx5_0", WARNING, "DOWN", "interface up");
	fake.driver_id = RDMA_DRIVER_IRDMA;
	fake.has_odp = false;
	examine();
	assert_finding("rdma.odp", "mlx5_0", OK, "needs none", "");
	assert_none("rdma.data-direct", NULL);
}

static void rdma_register_errors_are_told_apart(void **state)
{
	(void)state;
	fake.probe_error = -EOPNOTSUPP;
	fake.has_odp = false;
	examine();
	assert_finding("rdma.register", "mlx5_0", PROBLEM, "mlx5 doesn't register", "rdma.odp");
	assert_finding("rdma.odp", "mlx5_0", PROBLEM, "no on-demand paging", "firmware");
	assert_none("rdma.library", NULL);
	assert_none("rdma.revoke", NULL);
	fake.driver_id = RDMA_DRIVER_RXE;
	examine();
	assert_finding("rdma.register", "mlx5_0", PROBLEM, "driver rxe", "kernel/rxe");
	fake.driver_id = RDMA_DRIVER_SIW;
	examine();
	assert_finding("rdma.register", "mlx5_0", PROBLEM, "driver siw", "irdma");
	fake.probe_error = -EPROTONOSUPPORT;
	examine();
	assert_finding("rdma.register", "mlx5_0", PROBLEM, "no method", "5.12");
	fake.probe_error = -EINVAL;
	examine();
	assert_finding("rdma.register", "mlx5_0", UNKNOWN, "answers EINVAL", "--try");
	/* Kernels before ioctl, and a number that no driver of ours has. */
	fake.driver_id = 125;
	examine();
	assert_finding("rdma.register", "mlx5_0", UNKNOWN, "driver unknown", "--try");
	fake.driver_id = 1000;
	examine();
	assert_finding("rdma.register", "mlx5_0", PROBLEM, "no ioctl for verbs", "5.12");
}

static void rdma_revocation_by_driver(void **state)
{
	(void)state;
	fake.driver_id = RDMA_DRIVER_EFA;
	examine();
	assert_finding("rdma.revoke", "mlx5_0", WARNING, "vfio refuses it", "allow_unrevocable");
	fake.driver_id = UVERBS_ABI_DRIVER_IONIC;
	examine();
	assert_finding("rdma.revoke", "mlx5_0", WARNING, "driver ionic", "allow_unrevocable");
	fake.driver_id = RDMA_DRIVER_RXE;
	examine();
	assert_finding("rdma.revoke", "mlx5_0", UNKNOWN, "isn't known", "--try");
	fake_mkdir("sys/module/rdma_rxe/parameters");
	fake_write("sys/module/rdma_rxe/parameters/dmabuf_revocable", "Y\n");
	examine();
	assert_finding("rdma.revoke", "mlx5_0", OK, "driver rxe", "");
	fake_write("sys/module/rdma_rxe/parameters/dmabuf_revocable", "N\n");
	examine();
	assert_finding("rdma.revoke", "mlx5_0", WARNING, "driver rxe", "allow_unrevocable");
	fake.limits_error = -EIO;
	examine();
	assert_finding("rdma.odp", "mlx5_0", UNKNOWN, "EIO", "ibv_devinfo -v");
}

/* The function that rxe maps for need not be that of its network card. */
static void rdma_rxe_with_a_function_of_another(void **state)
{
	(void)state;
	fake.driver_id = RDMA_DRIVER_RXE;
	examine();
	assert_finding("rdma.function", "mlx5_0", OK, "is mapped for " NIC, "");
	fake_mkdir("sys/module/rdma_rxe/parameters");
	fake_write("sys/module/rdma_rxe/parameters/dmabuf_device", GPU "\n");
	examine();
	assert_finding("rdma.function", "mlx5_0", OK, "is mapped for " GPU ", by rdma_rxe's", "");
	assert_finding("rdma.iommu", "mlx5_0", OK, GPU, "");
	/* Also where it is on none. */
	fake_unlink("sys/class/infiniband/mlx5_0");
	fake_mkdir("sys/devices/virtual/infiniband/mlx5_0");
	fake_link("../../devices/virtual/infiniband/mlx5_0", "sys/class/infiniband/mlx5_0");
	examine();
	assert_finding("rdma.function", "mlx5_0", OK, "is mapped for " GPU, "");
	fake.driver_id = RDMA_DRIVER_MLX5;
	examine();
	assert_finding("rdma.function", "mlx5_0", PROBLEM, "on no PCI function", "dmabuf_device");
}

static void rdma_device_that_cannot_be_opened(void **state)
{
	(void)state;
	fake.open_error = -EACCES;
	examine();
	assert_finding("rdma.open", "mlx5_0", PROBLEM, "EACCES", "provider library");
	fake.open_error = -ENODEV;
	examine();
	assert_finding("rdma.open", "mlx5_0", PROBLEM, "no provider library", "ibverbs-providers");
	fake.open_error = 0;
	fake.pd_error = -ENOMEM;
	examine();
	assert_finding("rdma.open", "mlx5_0", PROBLEM, "protection domain", "memlock");
	fake.access_errors = -EACCES;
	examine();
	assert_finding("rdma.node", "mlx5_0", PROBLEM, "uverbs0 can't be opened", "rdma-core");
	fake.access_errors = -EPERM;
	examine();
	assert_finding("rdma.node", "mlx5_0", PROBLEM, "EPERM", "pass it in");
	fake.access_errors = 0;
	fake_unlink(NODE);
	examine();
	assert_finding("rdma.node", "mlx5_0", PROBLEM, "ENOENT", "into the container");
	fake_unlink("sys/class/infiniband_verbs/uverbs0/ibdev");
	examine();
	assert_finding("rdma.node", "mlx5_0", PROBLEM, "no node", "modprobe ib_uverbs");
	/* What sysfs says of it is told in any case, and so is the rest of the machine. */
	assert_finding("rdma.port", "mlx5_0", OK, "ACTIVE", "");
	assert_finding("provider.export", GPU "/2", OK, "/dev/p2pdma/" GPU, "");
}

static void one_bad_device_hides_no_other(void **state)
{
	(void)state;
	/* The one before is without anything, the one behind nowhere. */
	fake_mkdir("sys/class/infiniband/bad_0");
	fake_link("../../nowhere", "sys/class/infiniband/zombie_0");
	examine();
	assert_finding("rdma.node", "bad_0", PROBLEM, "no node", "modprobe");
	assert_finding("rdma.node", "zombie_0", PROBLEM, "no node", "modprobe");
	assert_finding("rdma.register", "mlx5_0", OK, "registers", "");
	assert_finding("rdma.devices", "machine", OK, "3 RDMA devices", "");
}

/* Soft-RoCE on an interface that is no card's. */
static void rdma_without_a_function_is_a_problem(void **state)
{
	(void)state;
	fake_mkdir("sys/devices/virtual/net/dummy0");
	fake_mkdir("sys/class/net");
	fake_link("../../devices/virtual/net/dummy0", "sys/class/net/dummy0");
	fake_mkdir("sys/devices/virtual/infiniband/rxe0");
	fake_write("sys/devices/virtual/infiniband/rxe0/parent", "dummy0\n");
	fake_link("../../devices/virtual/infiniband/rxe0", "sys/class/infiniband/rxe0");
	examine();
	assert_finding("rdma.function", "rxe0", PROBLEM, "is on no PCI function", "rdma link add");
	assert_none("rdma.iommu", "rxe0");
	assert_none("rdma.ordering", "rxe0");
	assert_finding("rdma.function", "mlx5_0", OK, NIC, "");
}

static void rdma_no_devices_warns(void **state)
{
	(void)state;
	fake_unlink("sys/class/infiniband/mlx5_0");
	examine();
	assert_finding("rdma.devices", "machine", WARNING, "no RDMA device", "soft-RoCE");
	assert_none("rdma.register", NULL);
	assert_none("provider.path", NULL);
	assert_none("acs.port", NULL);
}

static void rdma_every_iommu(void **state)
{
	static const struct {
		const char *type;
		uint32_t severity;
		const char *evidence, *remedy;
	} types[] = {
		{"identity\n", OK, "passes", ""},
		{"DMA-FQ\n", OK, "translates", ""},
		{"unmanaged\n", WARNING, "VFIO user", "fuser"},
		{"blocked\n", PROBLEM, "blocks", "its own driver"},
		{"new\n", UNKNOWN, "can't be seen", "iommu_groups"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		fake_iommu_set(NIC, 3, types[i].type);
		examine();
		assert_finding("rdma.iommu", "mlx5_0", types[i].severity, types[i].evidence,
			       types[i].remedy);
	}
}

static void rdma_ordering_hidden_or_off(void **state)
{
	(void)state;
	fake_unlink("sys/bus/pci/devices/" NIC);
	fake_pci_add(&(struct fake_pci){.address = NIC, .above = "0000:00:02.0"});
	examine();
	assert_finding("rdma.ordering", "mlx5_0", OK, "strictly", "");
	fake_unlink("sys/bus/pci/devices/" NIC);
	fake_pci_add(
		&(struct fake_pci){.address = NIC, .above = "0000:00:02.0", .is_hidden = true});
	examine();
	assert_finding("rdma.ordering", "mlx5_0", UNKNOWN, "CAP_SYS_ADMIN", "root");
}

/* The GPU again, as something else. */
static void replace_gpu(const struct fake_pci *function)
{
	struct fake_pci gpu = *function;

	fake_unlink("sys/bus/pci/devices/" GPU "/driver");
	fake_unlink("sys/bus/pci/devices/" GPU);
	gpu.address = GPU;
	gpu.above = "0000:00:01.0";
	gpu.class_code = 0x030200;
	fake_pci_add(&gpu);
}

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

static void provider_paths(void **state)
{
	(void)state;
	examine();
	assert_finding("provider.path", GPU "/2", OK, "0 importers straight and 1 through", "");
	assert_finding("acs.port", "machine", OK, "no port", "");
}

static void provider_without_a_path_is_a_problem(void **state)
{
	(void)state;
	fake_cpu_set("GenuineIntel", 6);
	examine();
	assert_finding("provider.path", GPU "/2", PROBLEM, "mlx5_0: no port is above both",
		       "below one PCIe switch");
}

/* A switch with the GPU, the adapter and another adapter below; its ports' ACS is @control. */
static void add_switch(uint16_t control, bool is_hidden)
{
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:03.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:20:00.0",
					.above = "0000:00:03.0",
					.type = PCI_CONFIG_UPSTREAM_PORT});
	for (int i = 0; i < 2; i++) {
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:21:01.0" : "0000:21:00.0",
						.above = "0000:20:00.0",
						.type = PCI_CONFIG_DOWNSTREAM_PORT,
						.has_acs = !is_hidden,
						.acs_control = control,
						.is_hidden = is_hidden});
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:23:00.0" : "0000:22:00.0",
						.above = i ? "0000:21:01.0" : "0000:21:00.0",
						.class_code = i ? 0x020000 : 0x030200});
	}
	fake_rdma_add("mlx5_1", "0000:23:00.0");
}

static void acs_redirects_warns(void **state)
{
	(void)state;
	add_switch(0x001d, false);
	examine();
	/* Straight or not, it works: AMD's host bridges forward. */
	assert_finding("provider.path", "0000:22:00.0/2", OK, "0 importers straight and 2", "");
	assert_finding("acs.port", "0000:21:00.0", WARNING,
		       "1 pairs go up to the host bridge, such as 0000:22:00.0/2 to mlx5_1",
		       "pci=disable_acs_redir=");
	assert_finding("acs.port", "0000:21:01.0", WARNING, "redirects", "0000:21:01.0");
	assert_none("acs.port", "machine");
}

static void acs_blocks_is_a_problem(void **state)
{
	(void)state;
	add_switch(0x001d, false);
	fake_cpu_set("GenuineIntel", 6);
	examine();
	assert_finding("acs.port", "0000:21:00.0", PROBLEM, "1 pairs don't work, such as 0000:22",
		       "pci=disable_acs_redir=");
	assert_finding("provider.path", "0000:22:00.0/2", PROBLEM, "reaches 0 importers, 2 not",
		       "below one PCIe switch");
}

/* Above the port that is above both, requests pass by after they were redirected. */
static void acs_above_the_switch_isnt_blamed(void **state)
{
	(void)state;
	add_switch(0x001d, false);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:03.0",
					.above = "pci0000:00",
					.type = PCI_CONFIG_ROOT_PORT,
					.has_acs = true,
					.acs_control = 0x001d});
	examine();
	assert_finding("acs.port", "0000:21:00.0", WARNING, "1 pairs go up",
		       "=0000:21:00.0;0000:21:01.0\"");
	assert_none("acs.port", "0000:00:03.0");
}

/* The parameter of a problem is whole by itself, and that of a warning has it in it. */
static void acs_one_parameter_for_all_ports(void **state)
{
	static const char *const ports[] = {"0000:21:00.0", "0000:21:01.0"};

	(void)state;
	add_switch(0x001d, false);
	fake_write("proc/cmdline", "quiet pci=disable_acs_redir=0000:01:00.0\n");
	fake_cpu_set("GenuineIntel", 6);
	/* A second root bus whose host bridge forwards, and a switch of two ports below it. */
	fake_host_add("pci0000:80", 0x8086, 0x09a2);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:80:01.0", .above = "pci0000:80", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:81:00.0",
					.above = "0000:80:01.0",
					.type = PCI_CONFIG_UPSTREAM_PORT});
	for (int i = 0; i < 2; i++) {
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:82:01.0" : "0000:82:00.0",
						.above = "0000:81:00.0",
						.type = PCI_CONFIG_DOWNSTREAM_PORT,
						.has_acs = true,
						.acs_control = i ? 0x0004 : 0});
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:84:00.0" : "0000:83:00.0",
						.above = i ? "0000:82:01.0" : "0000:82:00.0",
						.class_code = i ? 0x020000 : 0x030200});
	}
	fake_rdma_add("mlx5_2", "0000:84:00.0");
	examine();
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		assert_finding("acs.port", ports[i], PROBLEM, "don't work",
			       "boot with \"pci=disable_acs_redir=0000:21:00.0;0000:21:01.0;"
			       "0000:01:00.0\"");
	assert_finding("acs.port", "0000:82:01.0", WARNING, "go up to the host bridge",
		       "for the direct way boot with \"pci=disable_acs_redir=0000:21:00.0;"
		       "0000:21:01.0;0000:82:01.0;0000:01:00.0\"");
	assert_none("acs.port", "0000:82:00.0");
}

static void acs_hidden_is_unknown(void **state)
{
	(void)state;
	add_switch(0, true);
	fake_cpu_set("GenuineIntel", 6);
	examine();
	/* One is known not to work, of the other it isn't known. */
	assert_finding("provider.path", "0000:22:00.0/2", WARNING, "of 1 it can't be told",
		       "below one PCIe switch");
	fake_unlink("sys/class/infiniband/mlx5_0");
	examine();
	assert_finding("provider.path", "0000:22:00.0/2", UNKNOWN, "only shown to CAP_SYS_ADMIN",
		       "ask as root");
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

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, doctor_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(rdma_device_that_can_all),
		CASE(rdma_device_with_less),
		CASE(rdma_register_errors_are_told_apart),
		CASE(rdma_revocation_by_driver),
		CASE(rdma_rxe_with_a_function_of_another),
		CASE(rdma_device_that_cannot_be_opened),
		CASE(one_bad_device_hides_no_other),
		CASE(rdma_without_a_function_is_a_problem),
		CASE(rdma_no_devices_warns),
		CASE(rdma_every_iommu),
		CASE(rdma_ordering_hidden_or_off),
		CASE(provider_export_by_driver),
		CASE(provider_memory_of_drivers),
		CASE(provider_bar_sizes),
		CASE(provider_bar_without_privilege),
		CASE(provider_paths),
		CASE(provider_without_a_path_is_a_problem),
		CASE(acs_redirects_warns),
		CASE(acs_blocks_is_a_problem),
		CASE(acs_above_the_switch_isnt_blamed),
		CASE(acs_one_parameter_for_all_ports),
		CASE(acs_hidden_is_unknown),
		CASE(vfio_needs_an_iommu),
		CASE(try_asks_vfio),
		CASE(try_registers_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
