// SPDX-License-Identifier: MIT
/* One reason and one remedy for several pairs of a topology. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <p2pdma/path.h>

#include "fake_machine.h"

#define LISTED	    0x8086, 0x09a2
#define LISTED_SAME 0x8086, 0x2f00
#define UNLISTED    0x8086, 0x3420
#define MAX_PAIRS   64

static struct p2pdma_topology *topology;
static struct p2pdma_pair pairs[MAX_PAIRS];
static size_t nr_pairs;
static struct p2pdma_path path;

static int setup(void **state)
{
	int r = fake_setup(state);

	memset(&path, 0, sizeof(path));
	path.size_bytes = sizeof(path);
	topology = NULL;
	nr_pairs = 0;
	fake_cpu_set("GenuineIntel", 6);
	return r;
}

static int teardown(void **state)
{
	p2pdma_topology_free(topology);
	return fake_teardown(state);
}

static void look(void)
{
	assert_int_equal(p2pdma_topology_query(fake_context(), &topology), 0);
}

static size_t find_node(const char *name)
{
	struct p2pdma_node node = P2PDMA_NODE_INIT;

	for (size_t i = 0; i < p2pdma_topology_count(topology); i++) {
		assert_int_equal(p2pdma_topology_node(topology, i, &node), 0);
		if (!strcmp(node.name, name))
			return i;
	}
	fail_msg("there is no node %s", name);
	return 0;
}

static void add_pair(const char *provider, const char *importer)
{
	assert_true(nr_pairs < MAX_PAIRS);
	pairs[nr_pairs].provider = find_node(provider);
	pairs[nr_pairs++].importer = find_node(importer);
}

static int advise(void)
{
	return p2pdma_topology_advise(topology, pairs, nr_pairs, &path);
}

/* The four ports of the server's second switch. */
static void set_acs(uint16_t control)
{
	char port[16];

	for (unsigned int i = 0; i < 4; i++) {
		snprintf(port, sizeof(port), "0000:42:%02x.0", i);
		fake_acs_set(port, control);
	}
}

static void advise_pairs_of_a_switch_names_every_port(void **state)
{
	(void)state;
	fake_server_add(UNLISTED);
	set_acs(0x001d);
	look();
	/* Those farthest down first: the sentence doesn't depend on the order. */
	for (unsigned int gpu = 4; gpu-- > 2;)
		for (unsigned int nic = 4; nic-- > 2;)
			add_pair(fake_server_gpu(gpu), fake_server_nic(nic));
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_ACS_BLOCKED);
	assert_string_equal(path.place, "0000:41:00.0");
	assert_string_equal(path.provider, fake_server_gpu(3));
	assert_string_equal(path.importer, fake_server_nic(3));
	assert_non_null(strstr(path.advice, "\"pci=disable_acs_redir=0000:42:00.0;0000:42:01.0;"
					    "0000:42:02.0;0000:42:03.0\""));
	assert_non_null(strstr(path.why, "ACS at 0000:42:00.0, 0000:42:01.0, 0000:42:02.0, "
					 "0000:42:03.0 redirects"));
}

static void advise_one_pair_says_what_its_path_says(void **state)
{
	struct p2pdma_path alone = P2PDMA_PATH_INIT;

	(void)state;
	fake_server_add(UNLISTED);
	set_acs(0x001d);
	look();
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	assert_int_equal(advise(), 0);
	assert_int_equal(
		p2pdma_topology_path(topology, pairs[0].provider, pairs[0].importer, &alone), 0);
	assert_memory_equal(&alone, &path, sizeof(path));
	/* Joining a path with itself changes nothing either. */
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	assert_int_equal(advise(), 0);
	assert_memory_equal(&alone, &path, sizeof(path));
}

static void advise_detours_names_every_port(void **state)
{
	(void)state;
	fake_server_add(LISTED);
	set_acs(0x0004);
	look();
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	add_pair(fake_server_gpu(3), fake_server_nic(3));
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_ACS);
	assert_non_null(strstr(path.advice, "for the direct way boot with"));
	assert_non_null(strstr(path.advice, "0000:42:00.0;0000:42:01.0;0000:42:02.0;0000:42:03.0"));
}

static void advise_pairs_of_a_host_bridge(void **state)
{
	(void)state;
	fake_server_add(UNLISTED);
	look();
	add_pair(fake_server_gpu(0), fake_server_nic(2));
	add_pair(fake_server_gpu(1), fake_server_nic(7));
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_NOT_FORWARDED);
	assert_string_equal(path.place, "pci0000:16");
	assert_non_null(strstr(path.why, "pci0000:16 (8086:3420)"));
}

/* Of several parameters the kernel takes the last: one for the ports of all switches. */
static void advise_pairs_of_two_switches_names_every_port(void **state)
{
	(void)state;
	fake_server_add(UNLISTED);
	fake_mkdir("proc");
	fake_write("proc/cmdline", "quiet pci=disable_acs_redir=0000:82:02.0;0000:01:00.0\n");
	set_acs(0x001d);
	fake_acs_set("0000:82:00.0", 0x0004);
	look();
	add_pair(fake_server_gpu(2), fake_server_nic(3));
	add_pair(fake_server_gpu(4), fake_server_nic(4));
	assert_int_equal(advise(), 0);
	assert_string_equal(path.place, "");
	assert_string_equal(path.why, "ACS at 0000:42:00.0, 0000:42:03.0, 0000:82:00.0 redirects "
				      "requests to host bridges that the kernel doesn't know to "
				      "forward them");
	assert_non_null(strstr(path.advice, "\"pci=disable_acs_redir=0000:42:00.0;0000:42:03.0;"
					    "0000:82:00.0;0000:82:02.0;0000:01:00.0\""));
	/* A third below one of them. */
	add_pair(fake_server_gpu(3), fake_server_nic(3));
	assert_int_equal(advise(), 0);
	assert_non_null(
		strstr(path.why, "ACS at 0000:42:00.0, 0000:42:01.0, 0000:42:03.0, 0000:82"));
}

static void advise_detours_of_two_switches(void **state)
{
	(void)state;
	fake_server_add(LISTED);
	set_acs(0x0004);
	fake_acs_set("0000:82:00.0", 0x0004);
	look();
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	add_pair(fake_server_gpu(4), fake_server_nic(4));
	assert_int_equal(advise(), 0);
	assert_non_null(strstr(path.why, "0000:82:00.0 redirects requests to host bridges, which "
					 "forward them, as the kernel's list says"));
	assert_non_null(strstr(path.advice, "=0000:42:00.0;0000:42:02.0;0000:82:00.0\""));
}

/* Some of them are blocked: the first's reason, and a sentence that is true of all. */
static void advise_detours_and_blocked(void **state)
{
	(void)state;
	fake_server_add(LISTED);
	fake_remove_function("0000:80:00.0");
	fake_host_add("pci0000:80", UNLISTED);
	set_acs(0x0004);
	fake_acs_set("0000:82:00.0", 0x0004);
	look();
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	add_pair(fake_server_gpu(4), fake_server_nic(4));
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_ACS);
	assert_true(path.flags & P2PDMA_PATH_POSSIBLE);
	assert_string_equal(path.why, "ACS at 0000:42:00.0, 0000:42:02.0, 0000:82:00.0 redirects "
				      "requests to host bridges, which forward them or not");
	assert_non_null(strstr(path.advice, "for the direct way boot with \"pci=disable_acs_redir="
					    "0000:42:00.0;0000:42:02.0;0000:82:00.0\""));
	nr_pairs = 0;
	add_pair(fake_server_gpu(4), fake_server_nic(4));
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_ACS_BLOCKED);
	assert_non_null(strstr(path.why, "to host bridges, not all of which the kernel knows"));
	assert_non_null(strstr(path.advice, "=0000:42:00.0;0000:42:02.0;0000:82:00.0\""));
	assert_null(strstr(path.advice, "direct way"));
}

/* Where the providers' host bridges differ none of them is named as the place to go to. */
static void advise_several_hosts_names_none(void **state)
{
	(void)state;
	fake_server_add(LISTED);
	fake_remove_function("0000:80:00.0");
	fake_host_add("pci0000:80", LISTED_SAME);
	look();
	add_pair(fake_server_gpu(0), fake_server_nic(4));
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_DIFFERENT_HOSTS);
	assert_string_equal(path.place, "pci0000:80");
	assert_non_null(strstr(path.advice, "below pci0000:16,"));
	add_pair(fake_server_gpu(2), fake_server_nic(5));
	assert_int_equal(advise(), 0);
	assert_non_null(strstr(path.advice, "below the provider's host bridge,"));
}

static void advise_hidden_names_every_function(void **state)
{
	static const char *const leaves[] = {"0001:03:00.0", "0001:04:00.0", "0001:05:00.0"};

	(void)state;
	fake_host_add("pci0001:00", UNLISTED);
	fake_pci_add(&(struct fake_pci){
		.address = "0001:00:01.0", .above = "pci0001:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){.address = "0001:01:00.0",
					.above = "0001:00:01.0",
					.type = PCI_CONFIG_UPSTREAM_PORT});
	for (unsigned int i = 0; i < 3; i++) {
		char port[16];

		snprintf(port, sizeof(port), "0001:02:%02x.0", i);
		fake_pci_add(&(struct fake_pci){.address = port,
						.above = "0001:01:00.0",
						.type = PCI_CONFIG_DOWNSTREAM_PORT,
						.is_hidden = true});
		fake_pci_add(&(struct fake_pci){.address = leaves[i], .above = port});
	}
	look();
	add_pair(leaves[0], leaves[1]);
	add_pair(leaves[0], leaves[2]);
	assert_int_equal(advise(), 0);
	assert_int_equal(path.reason, P2PDMA_PATH_ACS_UNKNOWN);
	assert_non_null(strstr(path.why, "at 0001:02:00.0, 0001:02:01.0, 0001:02:02.0 is only"));
}

/* A switch with more ports than a sentence can name. */
static void advise_many_ports_ends_the_list(void **state)
{
	char port[16], leaf[16], first[16] = "";

	(void)state;
	fake_host_add("pci0001:00", UNLISTED);
	fake_pci_add(&(struct fake_pci){
		.address = "0001:00:01.0", .above = "pci0001:00", .type = PCI_CONFIG_ROOT_PORT});
	for (unsigned int s = 0; s < 3; s++) {
		char up[16];

		snprintf(up, sizeof(up), "0001:01:00.%u", s);
		fake_pci_add(&(struct fake_pci){
			.address = up, .above = "0001:00:01.0", .type = PCI_CONFIG_UPSTREAM_PORT});
		for (unsigned int i = 0; i < 30; i++) {
			snprintf(port, sizeof(port), "0001:%02x:%02x.0", 2 + s, i);
			fake_pci_add(&(struct fake_pci){.address = port,
							.above = up,
							.type = PCI_CONFIG_DOWNSTREAM_PORT,
							.has_acs = true,
							.acs_control = 0x0004});
			snprintf(leaf, sizeof(leaf), "0001:%02x:00.0", 0x10 + s * 0x20 + i);
			fake_pci_add(&(struct fake_pci){.address = leaf, .above = port});
		}
	}
	look();
	snprintf(first, sizeof(first), "0001:10:00.0");
	for (unsigned int i = 0; i < 30; i++) {
		snprintf(leaf, sizeof(leaf), "0001:%02x:00.0", 0x30 + i);
		add_pair(first, leaf);
		snprintf(leaf, sizeof(leaf), "0001:%02x:00.0", 0x50 + i);
		add_pair(first, leaf);
	}
	assert_int_equal(advise(), 0);
	assert_string_equal(path.place, "0001:00:01.0");
	assert_non_null(strstr(path.why, "0001:03:0e.0 and others redirects requests to host "
					 "bridge pci0001:00"));
	assert_non_null(strstr(path.advice, "disable_acs_redir= and the redirecting hops"));
	assert_true(strlen(path.why) < sizeof(path.why) - 1);
	assert_non_null(strstr(path.advice, "past the IOMMU"));
}

static void advise_bad_arguments_einval(void **state)
{
	struct p2pdma_path small = {.size_bytes = 8};

	(void)state;
	fake_server_add(UNLISTED);
	set_acs(0x001d);
	look();
	assert_int_equal(advise(), -EINVAL);
	add_pair(fake_server_gpu(2), fake_server_nic(2));
	assert_int_equal(p2pdma_topology_advise(NULL, pairs, 1, &path), -EINVAL);
	assert_int_equal(p2pdma_topology_advise(topology, NULL, 1, &path), -EINVAL);
	assert_int_equal(p2pdma_topology_advise(topology, pairs, 1, NULL), -EINVAL);
	assert_int_equal(p2pdma_topology_advise(topology, pairs, 1, &small), -EINVAL);
	/* Another reason; the same at another place; no function. */
	add_pair(fake_server_gpu(2), fake_server_nic(0));
	assert_int_equal(advise(), -EINVAL);
	pairs[0] = pairs[1];
	nr_pairs = 1;
	add_pair(fake_server_gpu(0), fake_server_nic(2));
	assert_int_equal(advise(), -EINVAL);
	pairs[1].importer = find_node("pci0000:40");
	assert_int_equal(advise(), -EINVAL);
	pairs[1].provider = p2pdma_topology_count(topology);
	assert_int_equal(advise(), -EINVAL);
	assert_int_equal(path.reason, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(advise_pairs_of_a_switch_names_every_port),
		CASE(advise_one_pair_says_what_its_path_says),
		CASE(advise_detours_names_every_port),
		CASE(advise_pairs_of_two_switches_names_every_port),
		CASE(advise_detours_of_two_switches),
		CASE(advise_detours_and_blocked),
		CASE(advise_pairs_of_a_host_bridge),
		CASE(advise_several_hosts_names_none),
		CASE(advise_hidden_names_every_function),
		CASE(advise_many_ports_ends_the_list),
		CASE(advise_bad_arguments_einval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
