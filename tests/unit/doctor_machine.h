/* SPDX-License-Identifier: MIT */
#ifndef DOCTOR_MACHINE_H
#define DOCTOR_MACHINE_H

#include <rdma/ib_user_ioctl_verbs.h>

#include "doctor_case.h"

/* What the doctor's tests of devices begin with: a machine on which all is well. */

#define GPU  "0000:11:00.0"
#define NIC  "0000:12:00.0"
#define NODE "dev/infiniband/uverbs0"

/* A GPU and an adapter below one port each; the processor forwards. */
static inline void add_machine(void)
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

static inline int machine_setup(void **state)
{
	int r = doctor_setup(state);

	add_machine();
	return r;
}

/* The GPU again, as something else. */
static inline void replace_gpu(const struct fake_pci *function)
{
	struct fake_pci gpu = *function;

	fake_unlink("sys/bus/pci/devices/" GPU "/driver");
	fake_unlink("sys/bus/pci/devices/" GPU);
	gpu.address = GPU;
	gpu.above = "0000:00:01.0";
	gpu.class_code = 0x030200;
	fake_pci_add(&gpu);
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, doctor_teardown)

#endif /* DOCTOR_MACHINE_H */
