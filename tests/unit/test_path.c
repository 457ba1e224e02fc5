// SPDX-License-Identifier: MIT
/*
 * Paths against expectations derived by hand from the kernel's rules: each case is a machine, two
 * of its functions, and what drivers/pci/p2pdma.c comes to for them. Those below a switch have a file
 * of their own.
 */
#include "path_case.h"

static void root_ports_zen_thru(void **state)
{
	(void)state;
	add_root_ports(UNLISTED, 1);
	query("0000:11:00.0", "0000:12:00.0", PATH_YES);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	assert_int_equal(path.is_possible, PATH_YES);
	assert_says(why, "pci0000:00");
	assert_says(why, "Zen");
	assert_string_equal(advice, "");
	assert_int_equal(path.nr_hops, 5);
	assert_string_equal(tree.nodes[path.hops[0]].name, "0000:11:00.0");
	assert_string_equal(tree.nodes[path.hops[1]].name, "0000:00:01.0");
	assert_string_equal(tree.nodes[path.hops[2]].name, "pci0000:00");
	assert_string_equal(tree.nodes[path.hops[3]].name, "0000:00:02.0");
	assert_string_equal(tree.nodes[path.hops[4]].name, "0000:12:00.0");
}

static void root_ports_listed_thru(void **state)
{
	(void)state;
	add_root_ports(LISTED, 1);
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	assert_says(why, "the kernel's list");
}

static void root_ports_unlisted_not_supported(void **state)
{
	(void)state;
	add_root_ports(UNLISTED, 1);
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	assert_int_equal(path.is_possible, PATH_NO);
	assert_says(why, "pci0000:00 (8086:29c0)");
	assert_says(advice, "below one PCIe switch");
}

static void root_ports_unknown_cpu_unknown(void **state)
{
	(void)state;
	add_root_ports(UNLISTED, 1);
	query("0000:11:00.0", "0000:12:00.0", PATH_MAYBE);
	assert_path(UNKNOWN, HOST_UNKNOWN, 4);
	assert_int_equal(path.is_possible, PATH_MAYBE);
	assert_says(why, "/proc/cpuinfo");
	assert_says(advice, "root");
	add_root_ports(LISTED, 1);
	query("0000:11:00.0", "0000:12:00.0", PATH_MAYBE);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
}

static void hosts_listed_thru(void **state)
{
	(void)state;
	add_root_ports(LISTED, 2);
	query("0000:11:00.0", "0000:91:00.0", PATH_NO);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	assert_says(why, "pci0000:00 and pci0000:80");
	assert_int_equal(path.nr_hops, 6);
}

static void hosts_same_only_not_supported(void **state)
{
	(void)state;
	add_root_ports(LISTED_SAME, 2);
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	query("0000:11:00.0", "0000:91:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, DIFFERENT_HOSTS, -1);
	assert_says(advice, "move the importer to a slot below pci0000:00");
}

static void hosts_second_unlisted_names_it(void **state)
{
	(void)state;
	add_root_ports(LISTED, 2);
	fake_remove_function("0000:80:00.0");
	fake_host_add("pci0000:80", UNLISTED);
	query("0000:11:00.0", "0000:91:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	assert_says(why, "pci0000:80 (8086:29c0)");
	query("0000:91:00.0", "0000:11:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	assert_says(why, "pci0000:80 (8086:29c0)");
}

static void host_any_device_of_a_vendor(void **state)
{
	(void)state;
	add_root_ports(0x1ae0, 0x4242, 1);
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
}

/* Processors of Nvidia are known by their root ports. */
static void host_of_nvidia_cpu_thru(void **state)
{
	(void)state;
	add_root_ports(0x10de, 0x2f97, 2);
	query("0000:11:00.0", "0000:91:00.0", PATH_NO);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
}

/* Without a function 00.0 the first one must be a root port. */
static void host_known_by_root_port(void **state)
{
	(void)state;
	fake_pci_add(&(struct fake_pci){.address = "0000:00:02.0",
					.above = "pci0000:00",
					.vendor_id = 0x8086,
					.device_id = 0x2030,
					.type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:03.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:11:00.0", .above = "0000:00:02.0"});
	fake_pci_add(&(struct fake_pci){.address = "0000:12:00.0", .above = "0000:00:03.0"});
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	/* Not even a listed one that isn't. */
	fake_pci_add(&(struct fake_pci){.address = "0000:00:01.0",
					.above = "pci0000:00",
					.vendor_id = 0x8086,
					.device_id = 0x2030});
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	/* Nor one whose type can't be seen. */
	fake_pci_add(&(struct fake_pci){.address = "0000:00:01.0",
					.above = "pci0000:00",
					.vendor_id = 0x8086,
					.device_id = 0x2030,
					.is_hidden = true});
	query("0000:11:00.0", "0000:12:00.0", PATH_NO);
	assert_path(UNKNOWN, HOST_UNKNOWN, 4);
}

static void root_complex_functions_have_no_port(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", UNLISTED);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:04.0", .above = "pci0000:00"});
	fake_pci_add(&(struct fake_pci){.address = "0000:00:04.1", .above = "pci0000:00"});
	query("0000:00:04.0", "0000:00:04.1", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	query("0000:00:04.0", "0000:00:04.1", PATH_YES);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 2);
}

static void same_function_bus_addr(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	query("0000:05:00.0", "0000:05:00.0", PATH_NO);
	assert_path(BUS_ADDR, SAME_FUNCTION, 0);
	assert_int_equal(path.nr_hops, 1);
	assert_int_equal(path.bytes_per_second, 0);
	/* Its own ACS counts even here. */
	fake_acs_set("0000:04:00.0", 0x0004);
	query("0000:04:00.0", "0000:04:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, ACS_BLOCKED, -1);
}

/* What is known of a pair is said of it even where ACS is hidden. */
static void hidden_acs_of_one_device_says_so(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", UNLISTED);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:01.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	for (unsigned int k = 0; k < 2; k++)
		fake_pci_add(&(struct fake_pci){.address = k ? "0000:11:00.1" : "0000:11:00.0",
						.above = "0000:00:01.0",
						.is_hidden = true});
	query("0000:11:00.0", "0000:11:00.0", PATH_NO);
	assert_path(UNKNOWN, ACS_UNKNOWN, 0);
	assert_says(why, "provider and importer are one function, but whether its ACS redirects is "
			 "only shown to CAP_SYS_ADMIN");
	assert_says(advice, "as root");
	query("0000:11:00.0", "0000:11:00.0", PATH_YES);
	assert_says(why, "one function, but");
	assert_says(why, "works either way");
	query("0000:11:00.0", "0000:11:00.1", PATH_NO);
	assert_path(UNKNOWN, ACS_UNKNOWN, 2);
	assert_says(why, "both are functions of one device, but whether ACS redirects at "
			 "0000:11:00.0, 0000:11:00.1 is only shown");
}

static void same_device_bus_addr(void **state)
{
	(void)state;
	add_root_ports(UNLISTED, 1);
	fake_pci_add(&(struct fake_pci){.address = "0000:11:00.1", .above = "0000:00:01.0"});
	query("0000:11:00.0", "0000:11:00.1", PATH_NO);
	assert_path(BUS_ADDR, SAME_DEVICE, 2);
	assert_says(why, "functions of one device");
	assert_int_equal(path.nr_hops, 3);
	assert_int_equal(path.bytes_per_second / 1000000, 63015);
}

static void conventional_bridge_bus_addr(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", UNLISTED);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:1e.0",
					.above = "pci0000:00",
					.type = PCI_CONFIG_UPSTREAM_PORT,
					.is_conventional = true,
					.is_short = true});
	fake_pci_add(&(struct fake_pci){.address = "0000:01:01.0",
					.above = "0000:00:1e.0",
					.is_conventional = true,
					.is_short = true});
	fake_pci_add(&(struct fake_pci){.address = "0000:01:02.0",
					.above = "0000:00:1e.0",
					.is_conventional = true,
					.is_short = true});
	query("0000:01:01.0", "0000:01:02.0", PATH_NO);
	assert_path(BUS_ADDR, COMMON_PORT, 2);
	assert_int_equal(tree.nodes[path.common].kind, PCI_KIND_BRIDGE);
	assert_int_equal(path.bytes_per_second, 0);
}

/* What a VMD has below it has a host bridge of its own: no way out. */
static void vmd_is_another_host(void **state)
{
	(void)state;
	add_root_ports(UNLISTED, 1);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:0e.0", .above = "pci0000:00"});
	fake_mkdir("sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0");
	fake_pci_add(&(struct fake_pci){.address = "10000:e0:06.0",
					.above = "pci0000:00/0000:00:0e.0/pci10000:e0",
					.type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "10000:e1:00.0", .above = "10000:e0:06.0"});
	query("0000:11:00.0", "10000:e1:00.0", PATH_NO);
	assert_path(NOT_SUPPORTED, NOT_FORWARDED, -1);
	query("10000:e1:00.0", "0000:11:00.0", PATH_YES);
	assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 4);
	assert_says(why, "pci10000:e0 and pci0000:00");
}

/* All 64 pairs of a GPU and a NIC, by hand: two of each below each of four switches. */
static void server_pairs(void **state)
{
	(void)state;
	fake_server_add(LISTED);
	for (unsigned int gpu = 0; gpu < FAKE_NR_GPUS; gpu++) {
		for (unsigned int nic = 0; nic < FAKE_NR_NICS; nic++) {
			query(fake_server_gpu(gpu), fake_server_nic(nic), PATH_NO);
			if (gpu / 2 == nic / 2)
				assert_path(BUS_ADDR, COMMON_PORT, 4);
			else
				/* Four steps on either side to above the root ports. */
				assert_path(THRU_HOST_BRIDGE, HOST_BRIDGE, 8);
		}
	}
}

/* The same behind firmware that sets ACS: GPU and NIC of one switch go through the host. */
static void server_pairs_acs(void **state)
{
	(void)state;
	fake_server_add(LISTED_SAME);
	fake_acs_set("0000:18:00.0", 0x001d);
	query(fake_server_gpu(0), fake_server_nic(0), PATH_NO);
	assert_path(THRU_HOST_BRIDGE, ACS, 4);
	query(fake_server_gpu(1), fake_server_nic(0), PATH_NO);
	assert_path(BUS_ADDR, COMMON_PORT, 4);
	query(fake_server_gpu(1), fake_server_nic(2), PATH_NO);
	assert_path(NOT_SUPPORTED, DIFFERENT_HOSTS, -1);
}

static int32_t distance_of(const char *provider, const char *importer, enum path_answer cpu,
			   int wanted)
{
	struct pci_address from, to;
	cleanup_fd int sysfs_fd = -1;
	int32_t distance = 77;
	char sysfs[80];

	snprintf(sysfs, sizeof(sysfs), "%s/sys", fake.root);
	sysfs_fd = open(sysfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pci_address_parse(provider, &from), 0);
	assert_int_equal(pci_address_parse(importer, &to), 0);
	assert_int_equal(path_distance_query(sysfs_fd, cpu, &from, &to, &distance), wanted);
	return distance;
}

static void distance_alone(void **state)
{
	(void)state;
	add_switch(UNLISTED);
	assert_int_equal(distance_of("0000:04:00.0", "0000:05:00.0", PATH_NO, 0), 4);
	fake_acs_set("0000:03:00.0", 0x0004);
	assert_int_equal(distance_of("0000:04:00.0", "0000:05:00.0", PATH_NO, 0), -1);
	assert_int_equal(distance_of("0000:04:00.0", "0000:05:00.0", PATH_YES, 0), 4);
	fake_acs_set("0000:03:00.0", 0);
	/* What p2pd sees, which has no CAP_SYS_ADMIN: enough where both ways work. */
	fake_pci_add(&(struct fake_pci){.address = "0000:03:01.0",
					.above = "0000:02:00.0",
					.type = PCI_CONFIG_DOWNSTREAM_PORT,
					.is_hidden = true});
	assert_int_equal(distance_of("0000:04:00.0", "0000:05:00.0", PATH_YES, 0), 4);
	assert_int_equal(distance_of("0000:04:00.0", "0000:05:00.0", PATH_NO, -EOPNOTSUPP), 77);
	assert_int_equal(distance_of("0000:77:00.0", "0000:05:00.0", PATH_NO, -ENODEV), 77);
	assert_int_equal(distance_of("0000:04:00.0", "0000:77:00.0", PATH_NO, -ENXIO), 77);
}

/* What is in the tree is taken from there, and also what was only above others until now. */
static void distance_in_a_tree(void **state)
{
	struct pci_address from, to, port;
	cleanup_fd int sysfs_fd = -1;
	struct pci_tree kept;
	char sysfs[80];
	int32_t distance;

	(void)state;
	add_switch(UNLISTED);
	snprintf(sysfs, sizeof(sysfs), "%s/sys", fake.root);
	sysfs_fd = open(sysfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pci_address_parse("0000:04:00.0", &from);
	pci_address_parse("0000:05:00.0", &to);
	pci_address_parse("0000:03:00.0", &port);
	pci_tree_init(&kept);
	for (int i = 0; i < 2; i++) {
		distance = 77;
		assert_int_equal(path_distance_in(&kept, sysfs_fd, PATH_NO, &from, &to, &distance),
				 0);
		assert_int_equal(distance, 4);
		fake_acs_set("0000:03:00.0", 0x0004);
	}
	assert_false(kept.nodes[pci_tree_find(&kept, &port)].is_asked);
	path_distance_in(&kept, sysfs_fd, PATH_NO, &port, &to, &distance);
	assert_true(kept.nodes[pci_tree_find(&kept, &port)].is_asked);
	pci_tree_done(&kept);
	assert_int_equal(distance_of("0000:04:00.0", "0000:05:00.0", PATH_NO, 0), -1);
}

static void cpu_by_vendor_and_family(void **state)
{
	(void)state;
	assert_int_equal(path_cpu_parse("vendor_id\t: AuthenticAMD\ncpu family\t: 23\n"), PATH_YES);
	assert_int_equal(path_cpu_parse("vendor_id\t: AuthenticAMD\ncpu family\t: 26\n"), PATH_YES);
	assert_int_equal(path_cpu_parse("vendor_id\t: AuthenticAMD\ncpu family\t: 22\n"), PATH_NO);
	assert_int_equal(path_cpu_parse("vendor_id\t: GenuineIntel\ncpu family\t: 25\n"), PATH_NO);
	assert_int_equal(path_cpu_parse("vendor_id\t: HygonGenuine\ncpu family\t: 24\n"), PATH_NO);
	assert_int_equal(path_cpu_parse("vendor_id\t: AuthenticAMD\n"), PATH_MAYBE);
	assert_int_equal(path_cpu_parse("processor\t: 0\nBogoMIPS\t: 2000.00\n"), PATH_NO);
	assert_int_equal(path_cpu_parse(""), PATH_NO);
	assert_int_equal(path_cpu_query("/nonexistent"), PATH_MAYBE);
	/* What runs this test knows its own processor. */
	assert_int_equal(path_cpu_here(), path_cpu_query("/proc/cpuinfo"));
}

static void chain_of_links(void **state)
{
	struct pci_chain chain = {.count = 7};

	(void)state;
	assert_int_equal(pci_chain_parse("../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
					 &chain),
			 0);
	assert_int_equal(chain.count, 2);
	assert_int_equal(chain.host_length, strlen("../../../devices/pci0000:00"));
	assert_int_equal(pci_chain_parse("../../../devices/platform/40000000.pcie/pci0002:80/"
					 "0002:80:01.0",
					 &chain),
			 0);
	assert_int_equal(chain.host.domain, 2);
	assert_int_equal(chain.host.bus, 0x80);
	assert_int_equal(chain.count, 1);
	assert_int_equal(pci_chain_parse("../../../devices/0000:00:01.0", &chain), -EIO);
	assert_int_equal(pci_chain_parse("../../../devices/pci0000:00", &chain), -EIO);
	assert_int_equal(pci_chain_parse("", &chain), -EIO);
	assert_int_equal(chain.count, 1);
}

static void tree_errors(void **state)
{
	cleanup_fd int sysfs_fd = -1;
	struct pci_address address;
	char sysfs[80];
	int32_t index = 5;

	(void)state;
	snprintf(sysfs, sizeof(sysfs), "%s/sys", fake.root);
	sysfs_fd = open(sysfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pci_address_parse("0000:77:00.0", &address), 0);
	assert_int_equal(pci_tree_add(&tree, sysfs_fd, &address, &index), -ENODEV);
	/* A directory where a link should be. */
	assert_int_equal(pci_address_parse("0000:01:00.0", &address), 0);
	assert_int_equal(pci_tree_add(&tree, sysfs_fd, &address, &index), -EIO);
	add_switch(UNLISTED);
	fake_unlink("sys/bus/pci/devices/0000:05:00.0/config");
	assert_int_equal(pci_address_parse("0000:05:00.0", &address), 0);
	assert_int_equal(pci_tree_add(&tree, sysfs_fd, &address, &index), -ENODEV);
	assert_int_equal(index, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(root_ports_zen_thru),
		CASE(root_ports_listed_thru),
		CASE(root_ports_unlisted_not_supported),
		CASE(root_ports_unknown_cpu_unknown),
		CASE(hosts_listed_thru),
		CASE(hosts_same_only_not_supported),
		CASE(hosts_second_unlisted_names_it),
		CASE(host_any_device_of_a_vendor),
		CASE(host_of_nvidia_cpu_thru),
		CASE(host_known_by_root_port),
		CASE(root_complex_functions_have_no_port),
		CASE(same_function_bus_addr),
		CASE(hidden_acs_of_one_device_says_so),
		CASE(same_device_bus_addr),
		CASE(conventional_bridge_bus_addr),
		CASE(vmd_is_another_host),
		CASE(server_pairs),
		CASE(server_pairs_acs),
		CASE(distance_alone),
		CASE(distance_in_a_tree),
		CASE(cpu_by_vendor_and_family),
		CASE(chain_of_links),
		CASE(tree_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
