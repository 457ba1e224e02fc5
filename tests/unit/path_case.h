/* SPDX-License-Identifier: MIT */
#ifndef PATH_CASE_H
#define PATH_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/path.h"
#include "fake_machine.h"

/* A machine, two of its functions, and what the kernel comes to for them. */

/* Host bridges: in the list; there for peers below the same one only; not in it. */
#define LISTED	    0x8086, 0x09a2
#define LISTED_SAME 0x8086, 0x2f00
#define UNLISTED    0x8086, 0x29c0

static struct pci_tree tree;
static struct path path;
static char why[384], advice[1024];
static const char *const command_line = "quiet iommu=pt\n";

static inline int32_t look(const char *name)
{
	cleanup_fd int sysfs_fd = -1;
	struct pci_address address;
	int32_t index = -1;
	char sysfs[80];

	snprintf(sysfs, sizeof(sysfs), "%s/sys", fake.root);
	sysfs_fd = open(sysfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pci_address_parse(name, &address), 0);
	assert_int_equal(pci_tree_add(&tree, sysfs_fd, &address, &index), 0);
	assert_string_equal(tree.nodes[index].name, name);
	return index;
}

static inline void query(const char *provider, const char *importer, enum path_answer cpu)
{
	struct path_boot boot;
	int32_t from, to;

	pci_tree_done(&tree);
	from = look(provider);
	to = look(importer);
	path_compute(&tree, cpu, from, to, &path);
	path_explain(&tree, &path, why, sizeof(why));
	path_boot_parse(command_line, &boot);
	path_advise(&tree, &path, &boot, advice, sizeof(advice));
	assert_int_not_equal(*why, '\0');
}

#define assert_path(wanted_map, wanted_reason, wanted_distance)                                    \
	do {                                                                                       \
		assert_int_equal(path.map, PATH_MAP_##wanted_map);                                 \
		assert_int_equal(path.reason, PATH_REASON_##wanted_reason);                        \
		assert_int_equal(path.distance, wanted_distance);                                  \
	} while (0)

static inline void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" doesn't say \"%s\"", text, part);
}

/* One function below a port of its own on each of @nr_hosts host bridges, two below the first. */
static inline void add_root_ports(uint16_t vendor_id, uint16_t device_id, unsigned int nr_hosts)
{
	static const char *const hosts[] = {"pci0000:00", "pci0000:80"};
	char port[16], leaf[16];

	for (unsigned int i = 0; i < nr_hosts; i++) {
		fake_host_add(hosts[i], vendor_id, device_id);
		for (unsigned int k = 1; k <= 2; k++) {
			snprintf(port, sizeof(port), "0000:%02x:%02x.0", 0x80 * i, k);
			snprintf(leaf, sizeof(leaf), "0000:%02x:00.0", 0x80 * i + 0x10 + k);
			fake_pci_add(&(struct fake_pci){
				.address = port, .above = hosts[i], .type = PCI_CONFIG_ROOT_PORT});
			fake_pci_add(&(struct fake_pci){.address = leaf, .above = port});
		}
	}
}

/* 02:00.0 is a switch below root port 00:01.0; 04:00.0 and 05:00.0 are below its ports. */
static inline void add_switch(uint16_t vendor_id, uint16_t device_id)
{
	const struct fake_pci functions[] = {
		{.address = "0000:00:01.0",
		 .above = "pci0000:00",
		 .type = PCI_CONFIG_ROOT_PORT,
		 .has_acs = true,
		 .link_width = 8},
		{.address = "0000:02:00.0",
		 .above = "0000:00:01.0",
		 .type = PCI_CONFIG_UPSTREAM_PORT,
		 .has_acs = true,
		 .link_width = 8},
		{.address = "0000:03:00.0",
		 .above = "0000:02:00.0",
		 .type = PCI_CONFIG_DOWNSTREAM_PORT,
		 .has_acs = true},
		{.address = "0000:03:01.0",
		 .above = "0000:02:00.0",
		 .type = PCI_CONFIG_DOWNSTREAM_PORT,
		 .has_acs = true,
		 .link_generation = 4},
		{.address = "0000:04:00.0", .above = "0000:03:00.0", .has_acs = true},
		{.address = "0000:05:00.0", .above = "0000:03:01.0", .link_generation = 4},
	};

	fake_host_add("pci0000:00", vendor_id, device_id);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		fake_pci_add(&functions[i]);
}

static inline int done(void **state)
{
	pci_tree_done(&tree);
	return fake_teardown(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, done)

#endif
