// SPDX-License-Identifier: MIT
/* Topologies by the API: their nodes, and paths between these. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "machine_case.h"

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
			assert_string_equal(node.device, name);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(topology_describes_nodes),	     CASE(topology_names_of_a_function),
		CASE(topology_bad_arguments_einval), CASE(topology_without_pci_enoent),
		CASE(topology_and_query_agree),	     CASE(topology_of_1000_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
