// SPDX-License-Identifier: MIT
/* The doctor: RDMA devices. */
#include <errno.h>

#include "doctor_machine.h"
#include "mr/uverbs_abi.h"

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
	static const struct {
		int error;
		uint32_t driver_id, severity;
		const char *evidence, *remedy;
	} rows[] = {
		{-EOPNOTSUPP, RDMA_DRIVER_MLX5, PROBLEM, "mlx5 doesn't register", "rdma.odp"},
		{-EOPNOTSUPP, RDMA_DRIVER_RXE, PROBLEM, "driver rxe", "kernel/rxe"},
		{-EOPNOTSUPP, RDMA_DRIVER_SIW, PROBLEM, "driver siw", "irdma"},
		{-EPROTONOSUPPORT, RDMA_DRIVER_SIW, PROBLEM, "no method", "5.12"},
		{-EINVAL, RDMA_DRIVER_SIW, UNKNOWN, "answers EINVAL", "--try"},
		/* A number that no driver of ours has, and kernels before ioctl. */
		{-EINVAL, 125, UNKNOWN, "driver unknown", "--try"},
		{-EINVAL, 1000, PROBLEM, "no ioctl for verbs", "5.12"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.probe_error = rows[i].error;
		fake.driver_id = rows[i].driver_id;
		examine();
		assert_finding("rdma.register", "mlx5_0", rows[i].severity, rows[i].evidence,
			       rows[i].remedy);
		assert_none("rdma.library", NULL);
		assert_none("rdma.revoke", NULL);
	}
}

static void rdma_mlx5_without_odp_is_a_problem(void **state)
{
	(void)state;
	fake.probe_error = -EOPNOTSUPP;
	fake.has_odp = false;
	examine();
	assert_finding("rdma.odp", "mlx5_0", PROBLEM, "no on-demand paging", "firmware");
	fake.limits_error = -EIO;
	examine();
	assert_finding("rdma.odp", "mlx5_0", UNKNOWN, "EIO", "ibv_devinfo -v");
}

static void rdma_revocation_by_driver(void **state)
{
	static const struct {
		uint32_t driver_id;
		const char *parameter; /* of rxe; NULL: there is none */
		uint32_t severity;
		const char *evidence, *remedy;
	} rows[] = {
		{RDMA_DRIVER_MLX5, NULL, OK, "driver mlx5 lets", ""},
		{RDMA_DRIVER_IRDMA, NULL, OK, "driver irdma lets", ""},
		{RDMA_DRIVER_EFA, NULL, WARNING, "vfio refuses it", "allow_unrevocable"},
		{RDMA_DRIVER_BNXT_RE, NULL, WARNING, "driver bnxt_re", "allow_unrevocable"},
		{UVERBS_ABI_DRIVER_MANA, NULL, WARNING, "driver mana", "allow_unrevocable"},
		{UVERBS_ABI_DRIVER_IONIC, NULL, WARNING, "driver ionic", "allow_unrevocable"},
		{RDMA_DRIVER_SIW, NULL, UNKNOWN, "isn't known", "--try"},
		{RDMA_DRIVER_RXE, NULL, UNKNOWN, "isn't known", "--try"},
		{RDMA_DRIVER_RXE, "Y\n", OK, "driver rxe lets", ""},
		{RDMA_DRIVER_RXE, "N\n", WARNING, "driver rxe", "allow_unrevocable"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.driver_id = rows[i].driver_id;
		fake_mkdir("sys/module/rdma_rxe/parameters");
		if (rows[i].parameter)
			fake_write("sys/module/rdma_rxe/parameters/dmabuf_revocable",
				   rows[i].parameter);
		examine();
		assert_finding("rdma.revoke", "mlx5_0", rows[i].severity, rows[i].evidence,
			       rows[i].remedy);
	}
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
	static const struct {
		int open_error, pd_error, access_error;
		const char *unlink; /* a file that is away from then on; or NULL */
		const char *check, *evidence, *remedy;
	} rows[] = {
		{-EACCES, 0, 0, NULL, "rdma.open", "EACCES", "provider library"},
		{-ENODEV, 0, 0, NULL, "rdma.open", "no provider library", "ibverbs-providers"},
		{0, -ENOMEM, 0, NULL, "rdma.open", "protection domain", "memlock"},
		{0, 0, -EACCES, NULL, "rdma.node", "uverbs0 can't be opened", "rdma-core"},
		{0, 0, -EPERM, NULL, "rdma.node", "EPERM", "pass it in"},
		{0, 0, 0, NODE, "rdma.node", "ENOENT", "into the container"},
		{0, 0, 0, "sys/class/infiniband_verbs/uverbs0/ibdev", "rdma.node", "no node",
		 "modprobe ib_uverbs"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.open_error = rows[i].open_error;
		fake.pd_error = rows[i].pd_error;
		fake.access_errors = rows[i].access_error;
		if (rows[i].unlink)
			fake_unlink(rows[i].unlink);
		examine();
		assert_finding(rows[i].check, "mlx5_0", PROBLEM, rows[i].evidence, rows[i].remedy);
		/* What sysfs says of it is told in any case. */
		assert_finding("rdma.port", "mlx5_0", OK, "ACTIVE", "");
	}
	/* And so is the rest of the machine. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(rdma_device_that_can_all),
		CASE(rdma_device_with_less),
		CASE(rdma_register_errors_are_told_apart),
		CASE(rdma_mlx5_without_odp_is_a_problem),
		CASE(rdma_revocation_by_driver),
		CASE(rdma_rxe_with_a_function_of_another),
		CASE(rdma_device_that_cannot_be_opened),
		CASE(one_bad_device_hides_no_other),
		CASE(rdma_without_a_function_is_a_problem),
		CASE(rdma_no_devices_warns),
		CASE(rdma_every_iommu),
		CASE(rdma_ordering_hidden_or_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
