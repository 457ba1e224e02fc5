// SPDX-License-Identifier: MIT
/* The doctor: paths of which not all can be seen, and what the kernel says of them. */
#include <errno.h>

#include "doctor_case.h"

#define GPU   "0000:22:00.0"
#define NIC   "0000:23:00.0"
#define PORTS 2

/* A GPU and an adapter below a port each of one switch. */
static void add_machine(const struct fake_pci *port)
{
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:03.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:20:00.0",
					.above = "0000:00:03.0",
					.type = PCI_CONFIG_UPSTREAM_PORT});
	for (int i = 0; i < PORTS; i++) {
		struct fake_pci down = *port;

		down.address = i ? "0000:21:01.0" : "0000:21:00.0";
		down.above = "0000:20:00.0";
		down.type = PCI_CONFIG_DOWNSTREAM_PORT;
		fake_pci_add(&down);
	}
	fake_pci_add(&(struct fake_pci){.address = GPU,
					.above = "0000:21:00.0",
					.class_code = 0x030200,
					.driver = "p2pdma_export"});
	fake_pci_add(
		&(struct fake_pci){.address = NIC, .above = "0000:21:01.0", .driver = "mlx5_core"});
	fake_rdma_add("mlx5_0", NIC);
}

static void add_hidden(void)
{
	add_machine(&(struct fake_pci){.is_hidden = true});
}

static void add_open(void)
{
	add_machine(&(struct fake_pci){.has_acs = true});
}

/* What PATH answers, of a node that may be opened. */
static void answer(uint32_t map_type, int32_t distance)
{
	fake_write("dev/p2pdma/" GPU, "");
	fake.has_path = true;
	fake.path_map_type = map_type;
	fake.path_distance = distance;
}

/* Where the host bridge forwards, it works in either case: that is all that is known. */
static void hidden_acs_that_cannot_block(void **state)
{
	(void)state;
	add_hidden();
	fake_cpu_set("AuthenticAMD", 25);
	examine();
	assert_finding("provider.path", GPU "/2", OK,
		       "0 importers straight, 0 through the host bridge, and 1 in a way that is "
		       "only shown to CAP_SYS_ADMIN",
		       "");
	assert_finding("acs.port", "machine", UNKNOWN,
		       "1 pairs depend on it, such as " GPU "/2 to mlx5_0", "ask as root");
}

static void hidden_acs_that_may_block(void **state)
{
	(void)state;
	add_hidden();
	fake_cpu_set("GenuineIntel", 6);
	examine();
	assert_finding("provider.path", GPU "/2", UNKNOWN, "of 1 it can't be told; mlx5_0: a port",
		       "ask as root");
	assert_finding("acs.port", "machine", UNKNOWN, "1 pairs", "p2pdma_export");
}

static void open_acs_is_well(void **state)
{
	(void)state;
	add_open();
	fake_cpu_set("GenuineIntel", 6);
	examine();
	assert_finding("provider.path", GPU "/2", OK, "1 importers straight and 0 through", "");
	assert_finding("acs.port", "machine", OK, "no port", "");
}

static void kernel_is_asked_once_a_provider(void **state)
{
	(void)state;
	add_open();
	fake_pci_add(&(struct fake_pci){.address = "0000:00:04.0", .above = "pci0000:00"});
	fake_rdma_add("mlx5_1", "0000:00:04.0");
	fake_cpu_set("AuthenticAMD", 25);
	/* No node: nobody was asked, and nothing is told of it. */
	examine();
	assert_none("path.disagrees", NULL);
	assert_int_equal(fake.nr_opens, 0);
	/* The kernel part that doesn't know the call. */
	fake_write("dev/p2pdma/" GPU, "");
	examine();
	assert_none("path.disagrees", NULL);
	assert_int_equal(fake.nr_opens, 1);
	/* Right about one of the two. */
	answer(P2PDMA_EXPORT_MAP_BUS_ADDR, 4);
	examine();
	assert_int_equal(fake.nr_opens, 2);
	assert_finding(
		"path.disagrees", GPU "/2", WARNING,
		"of 1 importers, such as mlx5_1: the kernel says BUS_ADDR at distance 4, but",
		"report this");
	/* What it says counts. */
	assert_finding("provider.path", GPU "/2", OK, "2 importers straight and 0", "");
	assert_none("path.disagrees", "machine");
}

static void kernel_that_agrees_is_told(void **state)
{
	(void)state;
	add_open();
	answer(P2PDMA_EXPORT_MAP_BUS_ADDR, 4);
	examine();
	assert_finding("path.disagrees", "machine", OK, "asked about 1 pairs", "");
	fake_fail(FAKE_OPEN, -EACCES, 0);
	examine();
	assert_none("path.disagrees", NULL);
}

static void kernel_that_refuses_counts(void **state)
{
	(void)state;
	add_open();
	answer(P2PDMA_EXPORT_MAP_NOT_SUPPORTED, -1);
	examine();
	assert_finding("path.disagrees", GPU "/2", WARNING, "says NOT_SUPPORTED", "report this");
	assert_finding("provider.path", GPU "/2", PROBLEM, "mlx5_0: the kernel says NOT_SUPPORTED",
		       "report this");
}

/* It knows what ports who aren't shown do. */
static void kernel_knows_what_is_hidden(void **state)
{
	(void)state;
	add_hidden();
	fake_cpu_set("GenuineIntel", 6);
	answer(P2PDMA_EXPORT_MAP_BUS_ADDR, 4);
	examine();
	assert_finding("provider.path", GPU "/2", OK, "1 importers straight and 0", "");
	assert_finding("path.disagrees", "machine", OK, "1 pairs", "");
	assert_finding("acs.port", "machine", OK, "no port is seen", "");
	/* One of them redirects, then. */
	answer(P2PDMA_EXPORT_MAP_NOT_SUPPORTED, -1);
	examine();
	assert_finding("provider.path", GPU "/2", PROBLEM, "0 importers, 1 not", "ask as root");
	assert_finding("acs.port", "machine", UNKNOWN, "1 pairs", "ask as root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(hidden_acs_that_cannot_block),
		CASE(hidden_acs_that_may_block),
		CASE(open_acs_is_well),
		CASE(kernel_is_asked_once_a_provider),
		CASE(kernel_that_agrees_is_told),
		CASE(kernel_that_refuses_counts),
		CASE(kernel_knows_what_is_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
