// SPDX-License-Identifier: MIT
/* Paths by the API: names, what the kernel says to it, sizes, errors. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "machine_case.h"

static void query_disk_finds_its_controller(void **state)
{
	fake_mkdir("sys/class/block");
	fake_link("../../devices/pci0000:00/0000:00:02.0/" NIC "/nvme/nvme0/nvme0n1",
		  "sys/class/block/nvme0n1");
	fake_link("../../devices/virtual/block/loop0", "sys/class/block/loop0");
	fake_cpu_set("AuthenticAMD", 25);
	assert_int_equal(p2pdma_path_query(*state, provider, "nvme0n1", &path), 0);
	assert_string_equal(path.importer, NIC);
	assert_int_equal(path.map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
}

static void assert_not_pci(struct p2pdma_context *context, const char *importer, const char *advice)
{
	char text[160];

	memset(&path, 0, sizeof(path));
	path.size_bytes = sizeof(path);
	assert_int_equal(p2pdma_path_query(context, provider, importer, &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_NOT_SUPPORTED);
	assert_int_equal(path.computed_map_type, P2PDMA_MAP_NOT_SUPPORTED);
	assert_int_equal(path.reason, P2PDMA_PATH_NOT_PCI);
	assert_int_equal(path.distance, -1);
	assert_int_equal(path.flags, 0);
	assert_int_equal(path.nr_hops, 0);
	assert_string_equal(path.provider, GPU);
	assert_string_equal(path.importer, "");
	snprintf(text, sizeof(text), "%s is on no PCI function", importer);
	assert_non_null(strstr(path.why, text));
	assert_non_null(strstr(path.advice, advice));
}

/* The kernel maps peer memory for PCI functions only; nothing is asked of it. */
static void query_no_pci_function_not_supported(void **state)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_write("dev/p2pdma/" GPU, "");
	fake.has_path = true;
	fake_mkdir("sys/class/block");
	fake_mkdir("sys/class/drm");
	fake_link("../../devices/virtual/block/loop0", "sys/class/block/loop0");
	fake_link("../../devices/platform/vgem/drm/card7", "sys/class/drm/card7");
	fake_link("../../devices/virtual/infiniband/siw0", "sys/class/infiniband/siw0");
	assert_not_pci(*state, "loop0", "take an importer that is a PCI device");
	assert_not_pci(*state, "card7", "take an importer that is a PCI device");
	assert_not_pci(*state, "siw0", "take an importer that is a PCI device");
	fake_mkdir("sys/class/infiniband/rxe0");
	fake_write("sys/class/infiniband/rxe0/parent", "dummy0\n");
	assert_not_pci(*state, "rxe0", "name a function in /sys/module/rdma_rxe");
	fake_mkdir("sys/class/net/dummy0");
	assert_not_pci(*state, "rxe0", "put rxe on a PCI network card");
	assert_int_equal(fake.nr_opens, 0);
	/* Who isn't there is told apart from who is on no function. */
	assert_int_equal(p2pdma_path_query(*state, provider, "rxe1", &path), -ENODEV);
	assert_non_null(strstr(p2pdma_context_error(*state), "there is no importer \"rxe1\""));
	/* So is a provider that has gone. */
	fake_remove_function(GPU);
	assert_int_equal(p2pdma_path_query(*state, provider, "loop0", &path), -ENODEV);
}

/* What rxe's module lends to its devices is before their own network cards. */
static void query_rxe_lent_function(void **state)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_mkdir("sys/class/net");
	fake_link("../../devices/pci0000:00/0000:00:02.0/" NIC "/net/eth0", "sys/class/net/eth0");
	fake_mkdir("sys/class/infiniband/rxe0");
	fake_write("sys/class/infiniband/rxe0/parent", "eth0\n");
	assert_int_equal(p2pdma_path_query(*state, provider, "rxe0", &path), 0);
	assert_string_equal(path.importer, NIC);
	fake_mkdir("sys/module/rdma_rxe/parameters");
	fake_write("sys/module/rdma_rxe/parameters/dmabuf_device", "0000:00:01.0\n");
	assert_int_equal(p2pdma_path_query(*state, provider, "rxe0", &path), 0);
	assert_string_equal(path.importer, "0000:00:01.0");
	assert_int_equal(path.map_type, P2PDMA_MAP_BUS_ADDR);
	/* An RDMA device with a function of its own has nothing lent to it. */
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_string_equal(path.importer, NIC);
	/* For one that isn't there nothing is mapped. */
	fake_write("sys/module/rdma_rxe/parameters/dmabuf_device", "0000:77:00.0\n");
	assert_not_pci(*state, "rxe0", "dmabuf_device");
	/* None is lent. */
	fake_write("sys/module/rdma_rxe/parameters/dmabuf_device", "\n");
	assert_int_equal(p2pdma_path_query(*state, provider, "rxe0", &path), 0);
	assert_string_equal(path.importer, NIC);
}

static void add_interface(const char *name, const char *index, const char *lower)
{
	char file[96];

	snprintf(file, sizeof(file), "sys/class/net/%s", name);
	fake_mkdir(file);
	snprintf(file, sizeof(file), "sys/class/net/%s/ifindex", name);
	fake_write(file, index);
	if (!lower)
		return;
	snprintf(file, sizeof(file), "sys/class/net/%s/lower_%s", name, lower);
	fake_link("../anything", file);
}

/* A VLAN on a bond of two cards; and interfaces that are above each other in a ring, as no kernel has. */
static void query_rxe_below_interfaces(void **state)
{
	static const char nics[] = "../../devices/pci0000:00/0000:00:02.0/" NIC "/net/";
	char target[96];

	fake_mkdir("sys/devices/pci0000:00/0000:00:02.0/" NIC "/net/eth1");
	fake_mkdir("sys/devices/pci0000:00/0000:00:01.0/" GPU "/net/eth0");
	fake_write("sys/devices/pci0000:00/0000:00:02.0/" NIC "/net/eth1/ifindex", "2\n");
	fake_write("sys/devices/pci0000:00/0000:00:01.0/" GPU "/net/eth0/ifindex", "3\n");
	add_interface("vlan0", "9\n", "bond0");
	add_interface("bond0", "8\n", "eth0");
	snprintf(target, sizeof(target), "%seth1", nics);
	fake_link(target, "sys/class/net/eth1");
	fake_link("../../devices/pci0000:00/0000:00:01.0/" GPU "/net/eth0", "sys/class/net/eth0");
	fake_mkdir("sys/class/infiniband/rxe0");
	fake_write("sys/class/infiniband/rxe0/parent", "vlan0\n");
	assert_int_equal(p2pdma_path_query(*state, provider, "rxe0", &path), 0);
	assert_string_equal(path.importer, GPU);
	/* The older of two. */
	fake_link("../anything", "sys/class/net/bond0/lower_eth1");
	assert_int_equal(p2pdma_path_query(*state, provider, "rxe0", &path), 0);
	assert_string_equal(path.importer, NIC);
	add_interface("a", "10\n", "b");
	add_interface("b", "11\n", "a");
	fake_write("sys/class/infiniband/rxe0/parent", "a\n");
	assert_not_pci(*state, "rxe0", "network card");
}

static void query_rdma_device_tells_everything(void **state)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_iommu_set(NIC, 3, "DMA-FQ\n");
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
	assert_int_equal(path.computed_map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
	assert_int_equal(path.reason, P2PDMA_PATH_HOST_BRIDGE);
	assert_int_equal(path.distance, 4);
	assert_int_equal(path.flags, P2PDMA_PATH_POSSIBLE);
	assert_int_equal(path.iommu, P2PDMA_IOMMU_TRANSLATED);
	assert_string_equal(path.provider, GPU);
	assert_string_equal(path.importer, NIC);
	assert_string_equal(path.narrowest, NIC);
	assert_int_equal(path.link_generation, 5);
	assert_int_equal(path.link_width, 8);
	assert_int_equal(path.bytes_per_second / 1000000, 31507);
	assert_int_equal(path.nr_hops, 5);
	assert_string_equal(path.hops[2].name, "pci0000:00");
	assert_int_equal(path.hops[2].kind, P2PDMA_NODE_HOST_BRIDGE);
	assert_int_equal(path.hops[3].kind, P2PDMA_NODE_ROOT_PORT);
	assert_int_equal(path.hops[4].link_width, 8);
	assert_int_equal(path.size_bytes, sizeof(path));
	assert_int_equal(fake.nr_opens, 0);
}

static void query_not_supported_says_what_to_change(void **state)
{
	fake_cpu_set("GenuineIntel", 6);
	assert_int_equal(p2pdma_path_query(*state, provider, NIC, &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_NOT_SUPPORTED);
	assert_int_equal(path.distance, -1);
	assert_int_equal(path.flags, 0);
	assert_non_null(strstr(path.why, "8086:29c0"));
	assert_non_null(strstr(path.advice, "switch"));
}

static void query_every_iommu(void **state)
{
	static const struct {
		const char *type;
		uint32_t iommu;
	} cases[] = {
		{"identity\n", P2PDMA_IOMMU_IDENTITY}, {"DMA\n", P2PDMA_IOMMU_TRANSLATED},
		{"DMA-FQ\n", P2PDMA_IOMMU_TRANSLATED}, {"unmanaged\n", P2PDMA_IOMMU_UNMANAGED},
		{"blocked\n", P2PDMA_IOMMU_BLOCKED},   {"what?\n", P2PDMA_IOMMU_UNKNOWN},
	};

	assert_int_equal(p2pdma_path_query(*state, provider, NIC, &path), 0);
	assert_int_equal(path.iommu, P2PDMA_IOMMU_NONE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_iommu_set(NIC, 7, cases[i].type);
		assert_int_equal(p2pdma_path_query(*state, provider, NIC, &path), 0);
		assert_int_equal(path.iommu, cases[i].iommu);
	}
}

static void kernel_agrees(void **state)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_write("dev/p2pdma/" GPU, "");
	fake.has_path = true;
	fake.path_map_type = P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE;
	fake.path_distance = 4;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.flags, P2PDMA_PATH_ASKED | P2PDMA_PATH_POSSIBLE);
	assert_int_equal(path.reason, P2PDMA_PATH_HOST_BRIDGE);
	assert_int_equal(fake.last_path.client_bus, 0x12);
	assert_int_equal(fake.last_path.client_devfn, 0);
	/* Without a map type the distance alone is compared. */
	fake.path_map_type = P2PDMA_EXPORT_MAP_UNKNOWN;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.flags, P2PDMA_PATH_ASKED | P2PDMA_PATH_POSSIBLE);
	assert_int_equal(path.map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
}

static void kernel_disagrees_is_told(void **state)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_write("dev/p2pdma/" GPU, "");
	fake.has_path = true;
	fake.path_map_type = P2PDMA_EXPORT_MAP_NOT_SUPPORTED;
	fake.path_distance = -1;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.flags, P2PDMA_PATH_ASKED | P2PDMA_PATH_DISAGREES);
	assert_int_equal(path.reason, P2PDMA_PATH_KERNEL);
	assert_int_equal(path.map_type, P2PDMA_MAP_NOT_SUPPORTED);
	assert_int_equal(path.distance, -1);
	assert_int_equal(path.computed_map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
	assert_int_equal(path.computed_distance, 4);
	assert_non_null(strstr(path.why, "the kernel says NOT_SUPPORTED at distance -1"));
	/* A distance alone is enough. */
	fake.path_map_type = P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE;
	fake.path_distance = 6;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_true(path.flags & P2PDMA_PATH_DISAGREES);
	assert_int_equal(path.distance, 6);
}

static void kernel_knows_what_is_hidden(void **state)
{
	/* No /proc/cpuinfo. */
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_UNKNOWN);
	assert_int_equal(path.flags, 0);
	assert_non_null(strstr(path.advice, "p2pdma_export"));
	fake_write("dev/p2pdma/" GPU, "");
	fake.has_path = true;
	fake.path_map_type = P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE;
	fake.path_distance = 4;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
	assert_int_equal(path.computed_map_type, P2PDMA_MAP_UNKNOWN);
	assert_int_equal(path.reason, P2PDMA_PATH_KERNEL);
	assert_int_equal(path.flags, P2PDMA_PATH_ASKED | P2PDMA_PATH_POSSIBLE);
	assert_string_equal(path.advice, "");
	fake.path_map_type = P2PDMA_EXPORT_MAP_NOT_SUPPORTED;
	fake.path_distance = -1;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_NOT_SUPPORTED);
	assert_int_equal(path.flags, P2PDMA_PATH_ASKED);
}

static void kernel_that_cannot_tell_is_left_out(void **state)
{
	fake_cpu_set("AuthenticAMD", 25);
	fake_write("dev/p2pdma/" GPU, "");
	/* -ENOTTY, a node that can't be opened, a map type from the future. */
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.flags, P2PDMA_PATH_POSSIBLE);
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.flags, P2PDMA_PATH_POSSIBLE);
	fake.has_path = true;
	fake.path_map_type = 9;
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_0", &path), 0);
	assert_int_equal(path.flags, P2PDMA_PATH_POSSIBLE);
}

static void query_bad_arguments_einval(void **state)
{
	struct p2pdma_path small = {.size_bytes = 8};

	assert_int_equal(p2pdma_path_query(NULL, provider, NIC, &path), -EINVAL);
	assert_int_equal(p2pdma_path_query(*state, NULL, NIC, &path), -EINVAL);
	assert_int_equal(p2pdma_path_query(*state, provider, NULL, &path), -EINVAL);
	assert_int_equal(p2pdma_path_query(*state, provider, NIC, NULL), -EINVAL);
	assert_int_equal(p2pdma_path_query(*state, provider, NIC, &small), -EINVAL);
	assert_int_equal(p2pdma_path_query(*state, provider, "../../etc", &path), -EINVAL);
	assert_cause("no name of an importer");
	assert_int_equal(p2pdma_path_query(*state, provider, "", &path), -EINVAL);
	assert_int_equal(path.distance, 0);
}

static void query_missing_importer_enodev(void **state)
{
	assert_int_equal(p2pdma_path_query(*state, provider, "mlx5_9", &path), -ENODEV);
	assert_cause("\"mlx5_9\"");
	assert_int_equal(p2pdma_path_query(*state, provider, "0000:77:00.0", &path), -ENODEV);
	assert_cause("there is no PCI function 0000:77:00.0");
}

/* The same slot, another function: a name never means a device that came later. */
static void query_exchanged_provider_estale(void **state)
{
	fake_unlink("sys/bus/pci/devices/" GPU);
	assert_int_equal(p2pdma_path_query(*state, provider, NIC, &path), -ENODEV);
	fake_pci_add(&(struct fake_pci){.address = GPU, .above = "0000:00:02.0"});
	assert_int_equal(p2pdma_path_query(*state, provider, NIC, &path), -ESTALE);
	assert_cause("exchanged");
}

static void query_larger_structure_is_zeroed_behind(void **state)
{
	struct {
		struct p2pdma_path path;
		uint64_t later;
	} larger = {.path.size_bytes = sizeof(larger), .later = 7};

	fake_cpu_set("AuthenticAMD", 25);
	assert_int_equal(p2pdma_path_query(*state, provider, NIC, &larger.path), 0);
	assert_int_equal(larger.later, 0);
	assert_int_equal(larger.path.distance, 4);
	assert_int_equal(larger.path.size_bytes, sizeof(larger));
}

static void map_type_names(void **state)
{
	(void)state;
	assert_string_equal(p2pdma_map_type_name(P2PDMA_MAP_BUS_ADDR), "BUS_ADDR");
	assert_string_equal(p2pdma_map_type_name(P2PDMA_MAP_THRU_HOST_BRIDGE), "THRU_HOST_BRIDGE");
	assert_string_equal(p2pdma_map_type_name(P2PDMA_MAP_NOT_SUPPORTED), "NOT_SUPPORTED");
	assert_string_equal(p2pdma_map_type_name(77), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(query_rdma_device_tells_everything),
		CASE(query_disk_finds_its_controller),
		CASE(query_no_pci_function_not_supported),
		CASE(query_rxe_lent_function),
		CASE(query_rxe_below_interfaces),
		CASE(query_not_supported_says_what_to_change),
		CASE(query_every_iommu),
		CASE(kernel_agrees),
		CASE(kernel_disagrees_is_told),
		CASE(kernel_knows_what_is_hidden),
		CASE(kernel_that_cannot_tell_is_left_out),
		CASE(query_bad_arguments_einval),
		CASE(query_missing_importer_enodev),
		CASE(query_exchanged_provider_estale),
		CASE(query_larger_structure_is_zeroed_behind),
		CASE(map_type_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
