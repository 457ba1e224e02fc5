// SPDX-License-Identifier: MIT
/* The doctor: each provider of a function, whatever its BARs are. */
#include <errno.h>

#include <rdma/ib_user_ioctl_verbs.h>

#include "doctor_case.h"

#define PORT "0000:00:01.0"
#define DISK "0000:11:00.0"
#define HERE "sys/bus/pci/devices/" DISK

/* A function with BARs of these sizes; 0: none. */
static void add_function(const uint64_t sizes[PCI_NR_BARS], const struct fake_pci *function)
{
	char text[512] = "";
	size_t length = 0;

	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = PORT, .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(function);
	for (int i = 0; i < PCI_NR_BARS; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "0x%016llx 0x%016llx 0x%016x\n",
					   sizes[i] ? 0xfc000000000ULL : 0,
					   sizes[i] ? 0xfc000000000ULL + sizes[i] - 1 : 0,
					   sizes[i] ? 0x0014220c : 0);
	fake_write(HERE "/resource", text);
}

static void add(const uint64_t sizes[PCI_NR_BARS], uint32_t class_code, const char *driver)
{
	add_function(sizes, &(struct fake_pci){.address = DISK,
					       .above = PORT,
					       .class_code = class_code,
					       .driver = driver});
}

static size_t count_findings(const char *check, const char *subject)
{
	struct p2pdma_finding finding = P2PDMA_FINDING_INIT;
	size_t count = 0;

	for (size_t i = 0; i < p2pdma_doctor_count(doctor); i++) {
		assert_int_equal(p2pdma_doctor_finding(doctor, i, &finding), 0);
		count += !strcmp(finding.check, check) &&
			 (!subject || !strcmp(finding.subject, subject));
	}
	return count;
}

static void every_bar_is_a_provider(void **state)
{
	(void)state;
	add((const uint64_t[PCI_NR_BARS]){16 * MIB, 256 * MIB, 0, 4096, 2 * MIB}, 0x120000,
	    "p2pdma_export");
	fake_write("dev/p2pdma/" DISK, "");
	examine();
	assert_finding("provider.export", DISK "/0", OK, "16 MiB, export: through", "");
	assert_finding("provider.export", DISK "/1", OK, "256 MiB, export: through", "");
	assert_finding("provider.export", DISK "/4", OK, "2 MiB, export: through", "");
	assert_int_equal(count_findings("provider.export", NULL), 3);
	assert_finding("provider.bar", DISK "/0", OK, "isn't the function's largest", "");
	assert_finding("provider.bar", DISK "/1", OK, "256 MiB, and it can't be resized", "");
	assert_finding("provider.bar", DISK "/4", OK, "isn't the function's largest", "");
	assert_finding("provider.list", "machine", OK,
		       "1 functions with memory to lend: 3 providers, 3 of them", "");
}

/* Its other BARs are no memory that a firmware's setting would show more of. */
static void only_the_largest_bar_should_be_larger(void **state)
{
	(void)state;
	add_function((const uint64_t[PCI_NR_BARS]){256 * MIB, 0, 2 * MIB},
		     &(struct fake_pci){.address = DISK,
					.above = PORT,
					.class_code = 0x030000,
					.resizable = 0x1fe,
					.driver = "p2pdma_export"});
	examine();
	assert_finding("provider.bar", DISK "/0", OK, "can't be resized", "");
	assert_finding("provider.bar", DISK "/2", OK, "2 MiB, and it isn't the function's largest",
		       "");
	assert_finding("provider.bar", DISK "/2", OK, "it could have 256 MiB", "");
}

/* Without privilege it is unknown once, and not for registers and doorbells. */
static void hidden_sizes_are_unknown_once(void **state)
{
	(void)state;
	add_function((const uint64_t[PCI_NR_BARS]){16 * MIB, 0, 256 * MIB},
		     &(struct fake_pci){.address = DISK,
					.above = PORT,
					.class_code = 0x030000,
					.is_hidden = true,
					.driver = "p2pdma_export"});
	examine();
	assert_finding("provider.bar", DISK "/2", UNKNOWN, "CAP_SYS_ADMIN", "root");
	assert_finding("provider.bar", DISK "/0", OK, "16 MiB", "");
}

/* The buffer of a drive whose BAR is too small for more. */
static void p2pmem_needs_no_bar(void **state)
{
	(void)state;
	add((const uint64_t[PCI_NR_BARS]){16384, 0, 0, 0, 65536}, 0x010802, "nvme");
	fake_mkdir(HERE "/p2pmem");
	fake_write(HERE "/p2pmem/size", "65536\n");
	fake_write(HERE "/p2pmem/allocate", "");
	fake_rdma_add("mlx5_0", DISK);
	examine();
	assert_finding("provider.export", DISK "/p2pmem", OK, "64 KiB, p2pmem", "");
	assert_int_equal(count_findings("provider.export", NULL), 1);
	assert_int_equal(count_findings("provider.bar", NULL), 0);
	assert_finding("provider.list", "machine", OK, "1 providers, 1 of them", "");
	assert_finding("provider.path", DISK "/p2pmem", OK, "0 importers", "");
	fake.access_errors = -EACCES;
	examine();
	assert_finding("provider.export", DISK "/p2pmem", WARNING, "EACCES", "p2pmem/allocate");
}

/* A card for networks lends no BAR; what its driver divides up it does. */
static void network_adapters_lend_no_bar(void **state)
{
	(void)state;
	add((const uint64_t[PCI_NR_BARS]){32 * MIB}, 0x020000, "mlx5_core");
	examine();
	assert_none("provider.export", NULL);
	assert_finding("provider.list", "machine", PROBLEM, "no function has a BAR", "GPU");
	fake_mkdir(HERE "/p2pmem");
	fake_write(HERE "/p2pmem/size", "1048576\n");
	examine();
	assert_none("provider.export", DISK "/0");
	assert_finding("provider.export", DISK "/p2pmem", WARNING, "1 MiB", "p2pmem/allocate");
}

/* What sysfs says of one memory hides no other. */
static void nonsense_in_sysfs_is_told(void **state)
{
	(void)state;
	add((const uint64_t[PCI_NR_BARS]){4 * MIB}, 0x010802, "nvme");
	fake_mkdir(HERE "/p2pmem");
	fake_write(HERE "/p2pmem/size", "much\n");
	fake_mkdir(HERE "/drm/renderD128");
	fake_write(HERE "/mem_info_vram_total", "more\n");
	examine();
	assert_finding("provider.export", DISK "/p2pmem", PROBLEM, "makes no sense: EIO",
		       "/sys/bus/pci/devices/" DISK);
	assert_finding("provider.export", DISK "/vram", PROBLEM, "makes no sense: EIO",
		       "/sys/bus/pci/devices/" DISK);
	assert_finding("provider.export", DISK "/0", OK, "4 MiB", "");
	fake_write(HERE "/resource", "nothing\n");
	examine();
	assert_finding("provider.export", DISK, PROBLEM, "makes no sense: EIO", "driver");
}

/* Links to themselves: they are there, and nobody can look at them. */
static void hidden_memory_is_unknown(void **state)
{
	(void)state;
	add((const uint64_t[PCI_NR_BARS]){4 * MIB}, 0x010802, "nvme");
	fake_mkdir(HERE "/p2pmem");
	fake_link("size", HERE "/p2pmem/size");
	fake_link("drm", HERE "/drm");
	examine();
	assert_finding("provider.export", DISK "/p2pmem", UNKNOWN, "can't be looked at: ELOOP",
		       "as root");
	assert_finding("provider.export", DISK, UNKNOWN, "drm can't be looked at: ELOOP",
		       "as root");
	assert_finding("provider.export", DISK "/0", OK, "4 MiB", "");
}

static void try_registers_of_every_bar(void **state)
{
	(void)state;
	add((const uint64_t[PCI_NR_BARS]){2 * MIB, 0, 64 * MIB}, 0x120000, "p2pdma_export");
	fake_write("dev/p2pdma/" DISK, "");
	fake.info_bus = 0x11;
	fake_cpu_set("AuthenticAMD", 25);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:02.0", .above = "pci0000:00"});
	fake_rdma_add("mlx5_0", "0000:00:02.0");
	fake_mkdir("sys/class/infiniband_verbs/uverbs0");
	fake_write("sys/class/infiniband_verbs/uverbs0/ibdev", "mlx5_0\n");
	fake_mkdir("dev/infiniband");
	fake_write("dev/infiniband/uverbs0", "");
	fake.driver_id = RDMA_DRIVER_MLX5;
	fake.has_odp = true;
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.register", DISK "/0 to mlx5_0", OK, "was registered", "");
	assert_finding("try.register", DISK "/2 to mlx5_0", OK, "was registered", "");
	assert_int_equal(count_findings("try.register", NULL), 2);
	fake_fail(P2PDMA_EXPORT_EXPORT, -EBUSY, 0);
	examine_with(P2PDMA_DOCTOR_TRY);
	assert_finding("try.register", DISK "/0", PROBLEM, "reset or suspended",
		       "`p2pctl unbind " DISK "`, then `p2pctl bind " DISK "`");
	assert_finding("try.register", DISK "/2 to mlx5_0", OK, "was registered", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_bar_is_a_provider),	     CASE(only_the_largest_bar_should_be_larger),
		CASE(hidden_sizes_are_unknown_once), CASE(p2pmem_needs_no_bar),
		CASE(network_adapters_lend_no_bar),  CASE(nonsense_in_sysfs_is_told),
		CASE(hidden_memory_is_unknown),	     CASE(try_registers_of_every_bar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
