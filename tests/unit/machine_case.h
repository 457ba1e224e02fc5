/* SPDX-License-Identifier: MIT */
/* A small machine for tests of paths by the API: a provider and a NIC, each below a root port. */
#ifndef MACHINE_CASE_H
#define MACHINE_CASE_H

#include <string.h>

#include <p2pdma/path.h>

#include "fake_machine.h"

#define NIC "0000:12:00.0"
#define GPU "0000:11:00.0"

static struct p2pdma_provider *provider;
static struct p2pdma_path path;

static inline void add_machine(void)
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

static inline int setup(void **state)
{
	int r = fake_setup(state);

	memset(&path, 0, sizeof(path));
	path.size_bytes = sizeof(path);
	add_machine();
	assert_int_equal(p2pdma_provider_find(*state, GPU "/2", &provider), 0);
	return r;
}

static inline int teardown(void **state)
{
	p2pdma_provider_unref(provider);
	return fake_teardown(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* MACHINE_CASE_H */
