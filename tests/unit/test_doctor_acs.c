// SPDX-License-Identifier: MIT
/* The doctor: paths, and the ports whose ACS is in the way. */
#include <errno.h>

#include "doctor_machine.h"

static void provider_paths(void **state)
{
	(void)state;
	examine();
	assert_finding("provider.path", GPU "/2", OK, "0 importers straight and 1 through", "");
	assert_finding("acs.port", "machine", OK, "no port", "");
}

static void provider_without_a_path_is_a_problem(void **state)
{
	(void)state;
	fake_cpu_set("GenuineIntel", 6);
	examine();
	assert_finding("provider.path", GPU "/2", PROBLEM, "mlx5_0: no port is above both",
		       "below one PCIe switch");
}

/* A switch with the GPU, the adapter and another adapter below; its ports' ACS is @control. */
static void add_switch(uint16_t control, bool is_hidden)
{
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:03.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:20:00.0",
					.above = "0000:00:03.0",
					.type = PCI_CONFIG_UPSTREAM_PORT});
	for (int i = 0; i < 2; i++) {
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:21:01.0" : "0000:21:00.0",
						.above = "0000:20:00.0",
						.type = PCI_CONFIG_DOWNSTREAM_PORT,
						.has_acs = !is_hidden,
						.acs_control = control,
						.is_hidden = is_hidden});
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:23:00.0" : "0000:22:00.0",
						.above = i ? "0000:21:01.0" : "0000:21:00.0",
						.class_code = i ? 0x020000 : 0x030200});
	}
	fake_rdma_add("mlx5_1", "0000:23:00.0");
}

static void acs_redirects_warns(void **state)
{
	(void)state;
	add_switch(0x001d, false);
	examine();
	/* Straight or not, it works: AMD's host bridges forward. */
	assert_finding("provider.path", "0000:22:00.0/2", OK, "0 importers straight and 2", "");
	assert_finding("acs.port", "0000:21:00.0", WARNING,
		       "1 pairs go up to the host bridge, such as 0000:22:00.0/2 to mlx5_1",
		       "pci=disable_acs_redir=");
	assert_finding("acs.port", "0000:21:01.0", WARNING, "redirects", "0000:21:01.0");
	assert_none("acs.port", "machine");
}

static void acs_blocks_is_a_problem(void **state)
{
	(void)state;
	add_switch(0x001d, false);
	fake_cpu_set("GenuineIntel", 6);
	examine();
	assert_finding("acs.port", "0000:21:00.0", PROBLEM, "1 pairs don't work, such as 0000:22",
		       "pci=disable_acs_redir=");
	assert_finding("provider.path", "0000:22:00.0/2", PROBLEM, "reaches 0 importers, 2 not",
		       "below one PCIe switch");
}

/* Above the port that is above both, requests pass by after they were redirected. */
static void acs_above_the_switch_isnt_blamed(void **state)
{
	(void)state;
	add_switch(0x001d, false);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:03.0",
					.above = "pci0000:00",
					.type = PCI_CONFIG_ROOT_PORT,
					.has_acs = true,
					.acs_control = 0x001d});
	examine();
	assert_finding("acs.port", "0000:21:00.0", WARNING, "1 pairs go up",
		       "=0000:21:00.0;0000:21:01.0\"");
	assert_none("acs.port", "0000:00:03.0");
}

/* The parameter of a problem is whole by itself, and that of a warning has it in it. */
static void acs_one_parameter_for_all_ports(void **state)
{
	static const char *const ports[] = {"0000:21:00.0", "0000:21:01.0"};

	(void)state;
	add_switch(0x001d, false);
	fake_write("proc/cmdline", "quiet pci=disable_acs_redir=0000:01:00.0\n");
	fake_cpu_set("GenuineIntel", 6);
	/* A second root bus whose host bridge forwards, and a switch of two ports below it. */
	fake_host_add("pci0000:80", 0x8086, 0x09a2);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:80:01.0", .above = "pci0000:80", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0000:81:00.0",
					.above = "0000:80:01.0",
					.type = PCI_CONFIG_UPSTREAM_PORT});
	for (int i = 0; i < 2; i++) {
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:82:01.0" : "0000:82:00.0",
						.above = "0000:81:00.0",
						.type = PCI_CONFIG_DOWNSTREAM_PORT,
						.has_acs = true,
						.acs_control = i ? 0x0004 : 0});
		fake_pci_add(&(struct fake_pci){.address = i ? "0000:84:00.0" : "0000:83:00.0",
						.above = i ? "0000:82:01.0" : "0000:82:00.0",
						.class_code = i ? 0x020000 : 0x030200});
	}
	fake_rdma_add("mlx5_2", "0000:84:00.0");
	examine();
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		assert_finding("acs.port", ports[i], PROBLEM, "don't work",
			       "boot with \"pci=disable_acs_redir=0000:21:00.0;0000:21:01.0;"
			       "0000:01:00.0\"");
	assert_finding("acs.port", "0000:82:01.0", WARNING, "go up to the host bridge",
		       "for the direct way boot with \"pci=disable_acs_redir=0000:21:00.0;"
		       "0000:21:01.0;0000:82:01.0;0000:01:00.0\"");
	assert_none("acs.port", "0000:82:00.0");
}

static void acs_hidden_is_unknown(void **state)
{
	(void)state;
	add_switch(0, true);
	fake_cpu_set("GenuineIntel", 6);
	examine();
	/* One is known not to work, of the other it isn't known. */
	assert_finding("provider.path", "0000:22:00.0/2", WARNING, "of 1 it can't be told",
		       "below one PCIe switch");
	fake_unlink("sys/class/infiniband/mlx5_0");
	examine();
	assert_finding("provider.path", "0000:22:00.0/2", UNKNOWN, "only shown to CAP_SYS_ADMIN",
		       "ask as root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(provider_paths),
		CASE(provider_without_a_path_is_a_problem),
		CASE(acs_redirects_warns),
		CASE(acs_blocks_is_a_problem),
		CASE(acs_above_the_switch_isnt_blamed),
		CASE(acs_one_parameter_for_all_ports),
		CASE(acs_hidden_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
