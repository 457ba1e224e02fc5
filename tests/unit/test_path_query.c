// SPDX-License-Identifier: MIT
/* Paths and topologies by the API: names, what the kernel says to it, sizes, errors. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <p2pdma/path.h>

#include "fake_machine.h"

#define NIC "0000:12:00.0"
#define GPU "0000:11:00.0"

static struct p2pdma_provider *provider;
static struct p2pdma_path path;

static void add_machine(void)
{
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:01.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:02.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = GPU, .above = "0000:00:01.0", .driver = "p2pdma_export"});
	fake_pci_add(&(struct fake_pci){
		.address = NIC, .above = "0000:00:02.0", .driver = "mlx5_core", .link_width = 8});
	fake_rdma_add("mlx5_0", NIC);
}

static int setup(void **state)
{
	int r = fake_setup(state);

	memset(&path, 0, sizeof(path));
	path.size_bytes = sizeof(path);
	add_machine();
	assert_int_equal(p2pdma_provider_find(*state, GPU "/2", &provider), 0);
	return r;
}

static int teardown(void **state)
{
	p2pdma_provider_unref(provider);
	return fake_teardown(state);
}

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

static struct p2pdma_topology *topology(void)
{
	struct p2pdma_topology *found = NULL;

	assert_int_equal(p2pdma_topology_query(fake_context(), &found), 0);
	return found;
}

/* The index of a node; its description in *node. */
static size_t find_node(const struct p2pdma_topology *of, const char *name,
			struct p2pdma_node *node)
{
	for (size_t i = 0; i < p2pdma_topology_count(of); i++) {
		node->size_bytes = sizeof(*node);
		assert_int_equal(p2pdma_topology_node(of, i, node), 0);
		if (!strcmp(node->name, name))
			return i;
	}
	fail_msg("there is no node %s", name);
	return 0;
}

static void topology_describes_nodes(void **state)
{
	struct p2pdma_topology *found = topology();
	struct p2pdma_node node, host;
	size_t index;

	(void)state;
	/* What the fixture added without a link is left out. */
	assert_int_equal(p2pdma_topology_count(found), 6);
	index = find_node(found, "pci0000:00", &host);
	assert_int_equal(host.kind, P2PDMA_NODE_HOST_BRIDGE);
	assert_int_equal(host.parent, -1);
	assert_int_equal(host.device_id, 0x29c0);
	assert_int_equal(host.numa_node, 0);
	find_node(found, GPU, &node);
	assert_int_equal(node.flags, P2PDMA_NODE_PROVIDER);
	assert_int_equal(node.host, index);
	assert_int_equal(node.bar, 2);
	assert_true(node.bar_bytes == 16ULL << 30);
	assert_string_equal(node.driver, "p2pdma_export");
	assert_int_equal(node.link_generation, 5);
	assert_int_equal(node.max_link_width, 16);
	find_node(found, NIC, &node);
	assert_int_equal(node.flags, P2PDMA_NODE_PROVIDER | P2PDMA_NODE_IMPORTER);
	assert_string_equal(node.device, "mlx5_0");
	assert_int_equal(node.link_width, 8);
	find_node(found, "0000:00:01.0", &node);
	assert_int_equal(node.flags, 0);
	assert_int_equal(node.kind, P2PDMA_NODE_ROOT_PORT);
	p2pdma_topology_free(found);
}

/* An RDMA device's before a DRM device's, by number, and whole. */
static void topology_names_of_a_function(void **state)
{
	struct p2pdma_topology *found = topology();
	struct p2pdma_node node;
	char name[64];

	(void)state;
	find_node(found, NIC, &node);
	assert_string_equal(node.devices, "mlx5_0");
	find_node(found, GPU, &node);
	assert_string_equal(node.devices, "");
	p2pdma_topology_free(found);
	fake_mkdir("sys/class/drm");
	fake_link("../../devices/pci0000:00/0000:00:02.0/" NIC "/drm/card1", "sys/class/drm/card1");
	fake_link("../../devices/pci0000:00/0000:00:02.0/" NIC "/drm/card1/card1-DP-1",
		  "sys/class/drm/card1-DP-1");
	fake_rdma_add("mlx5_10", NIC);
	fake_rdma_add("mlx5_9", NIC);
	found = topology();
	find_node(found, NIC, &node);
	assert_string_equal(node.device, "mlx5_0");
	assert_string_equal(node.devices, "mlx5_0 mlx5_9 mlx5_10 card1");
	p2pdma_topology_free(found);
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "rocep%d_%s", i,
			 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
		fake_rdma_add(name, NIC);
	}
	found = topology();
	find_node(found, NIC, &node);
	assert_non_null(strstr(node.devices, "mlx5_0 mlx5_9 mlx5_10 rocep0_"));
	assert_non_null(strstr(node.devices, "nnnn card1"));
	assert_null(strstr(node.devices, "rocep5"));
	p2pdma_topology_free(found);
}

static void topology_bad_arguments_einval(void **state)
{
	struct p2pdma_node node = {.size_bytes = 8};
	struct p2pdma_topology *found = topology();
	struct p2pdma_node gpu;
	size_t index = find_node(found, GPU, &gpu);

	assert_int_equal(p2pdma_topology_query(NULL, &found), -EINVAL);
	assert_int_equal(p2pdma_topology_query(*state, NULL), -EINVAL);
	assert_int_equal(p2pdma_topology_count(NULL), 0);
	assert_int_equal(p2pdma_topology_node(found, index, &node), -EINVAL);
	node.size_bytes = sizeof(node);
	assert_int_equal(p2pdma_topology_node(found, 6, &node), -EINVAL);
	assert_int_equal(p2pdma_topology_node(NULL, 0, &node), -EINVAL);
	assert_int_equal(p2pdma_topology_path(found, index, 0, &path), -EINVAL);
	assert_int_equal(p2pdma_topology_path(found, 6, index, &path), -EINVAL);
	assert_int_equal(p2pdma_topology_path(found, index, index, NULL), -EINVAL);
	p2pdma_topology_free(found);
	p2pdma_topology_free(NULL);
}

static void topology_without_pci_enoent(void **state)
{
	struct p2pdma_topology *found = NULL;
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/sys/bus/pci", fake.root);
	snprintf(to, sizeof(to), "%s/sys/bus/pcj", fake.root);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(p2pdma_topology_query(*state, &found), -ENOENT);
	assert_cause("PCI tree");
	assert_null(found);
}

/* Every pair says the same whether it is asked for alone or in a topology. */
static void topology_and_query_agree(void **state)
{
	struct p2pdma_topology *found;
	struct p2pdma_path alone = {.size_bytes = sizeof(alone)};
	struct p2pdma_node node;
	char name[32];

	fake_server_add(0x8086, 0x09a2);
	fake_acs_set("0000:42:01.0", 0x0004);
	found = topology();
	for (unsigned int gpu = 0; gpu < FAKE_NR_GPUS; gpu++) {
		struct p2pdma_provider *one = NULL;
		size_t from = find_node(found, fake_server_gpu(gpu), &node);

		snprintf(name, sizeof(name), "%s/2", fake_server_gpu(gpu));
		assert_int_equal(p2pdma_provider_find(*state, name, &one), 0);
		for (unsigned int nic = 0; nic < FAKE_NR_NICS; nic++) {
			size_t to = find_node(found, fake_server_nic(nic), &node);

			snprintf(name, sizeof(name), "mlx5_%u", nic);
			assert_string_equal(node.device, nic ? name : "mlx5_0");
			assert_int_equal(p2pdma_topology_path(found, from, to, &path), 0);
			assert_int_equal(
				p2pdma_path_query(*state, one, fake_server_nic(nic), &alone), 0);
			/* Only a query knows the IOMMU of what it is asked for, and both did. */
			assert_memory_equal(&alone, &path, sizeof(alone));
		}
		p2pdma_provider_unref(one);
	}
	p2pdma_topology_free(found);
}

/* 25 switches of 18 devices each, and the ports above them: 975 functions, and a few. */
static void topology_of_1000_functions(void **state)
{
	struct p2pdma_topology *found;
	char host[16], root[16], up[16], down[16], leaf[16];
	struct p2pdma_node node;
	size_t from, to;

	(void)state;
	for (unsigned int s = 0; s < 25; s++) {
		unsigned int domain = 1 + s;

		snprintf(host, sizeof(host), "pci%04x:00", domain);
		fake_host_add(host, 0x8086, 0x09a2);
		snprintf(root, sizeof(root), "%04x:00:01.0", domain);
		fake_pci_add(&(struct fake_pci){
			.address = root, .above = host, .type = PCI_CONFIG_ROOT_PORT});
		snprintf(up, sizeof(up), "%04x:01:00.0", domain);
		fake_pci_add(&(struct fake_pci){
			.address = up, .above = root, .type = PCI_CONFIG_UPSTREAM_PORT});
		for (unsigned int i = 0; i < 18; i++) {
			snprintf(down, sizeof(down), "%04x:02:%02x.0", domain, i);
			fake_pci_add(&(struct fake_pci){
				.address = down, .above = up, .type = PCI_CONFIG_DOWNSTREAM_PORT});
			snprintf(leaf, sizeof(leaf), "%04x:%02x:00.0", domain, 3 + i);
			fake_pci_add(&(struct fake_pci){.address = leaf, .above = down});
		}
	}
	found = topology();
	/* 25 times a host bridge and 39 functions, and the small machine. */
	assert_int_equal(p2pdma_topology_count(found), 25 * 40 + 6);
	from = find_node(found, "0007:03:00.0", &node);
	to = find_node(found, "0007:14:00.0", &node);
	assert_int_equal(p2pdma_topology_path(found, from, to, &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_BUS_ADDR);
	assert_int_equal(path.distance, 4);
	to = find_node(found, "0019:14:00.0", &node);
	assert_int_equal(p2pdma_topology_path(found, from, to, &path), 0);
	assert_int_equal(path.map_type, P2PDMA_MAP_THRU_HOST_BRIDGE);
	assert_int_equal(path.distance, 8);
	p2pdma_topology_free(found);
}

static void map_type_names(void **state)
{
	(void)state;
	assert_string_equal(p2pdma_map_type_name(P2PDMA_MAP_BUS_ADDR), "BUS_ADDR");
	assert_string_equal(p2pdma_map_type_name(P2PDMA_MAP_THRU_HOST_BRIDGE), "THRU_HOST_BRIDGE");
	assert_string_equal(p2pdma_map_type_name(P2PDMA_MAP_NOT_SUPPORTED), "NOT_SUPPORTED");
	assert_string_equal(p2pdma_map_type_name(77), "UNKNOWN");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		CASE(topology_describes_nodes),
		CASE(topology_names_of_a_function),
		CASE(topology_bad_arguments_einval),
		CASE(topology_without_pci_enoent),
		CASE(topology_and_query_agree),
		CASE(topology_of_1000_functions),
		CASE(map_type_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
