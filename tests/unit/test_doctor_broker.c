// SPDX-License-Identifier: MIT
/* The doctor: what it says of p2pd. */
#include <errno.h>
#include <unistd.h>

#include "doctor_case.h"
#include "fake_p2pd.h"

static int setup(void **state)
{
	int r = p2pd_setup(state);

	write_process(ROOT);
	doctor = NULL;
	return r;
}

static int teardown(void **state)
{
	p2pdma_doctor_free(doctor);
	doctor = NULL;
	return p2pd_teardown(state);
}

static void ask(void)
{
	examine_as(p2pd_context(), 0);
}

static void broker_answers(void **state)
{
	(void)state;
	p2pd_set_records(3, 3);
	ask();
	assert_finding("p2pd.socket", "p2pd", OK, "answers", "");
	assert_finding("p2pd.policy", "p2pd", WARNING, "2 reloads were refused", "p2pd --check");
	assert_finding("p2pd.provider", "p2pd", OK, "3 providers to lease", "");
	assert_finding("p2pd.version", "p2pd", OK, "p2pd is 0.1.0", "");
	p2pd_set_health(1, true);
	ask();
	assert_finding("p2pd.policy", "p2pd", OK, "the one in its files", "");
	assert_finding("p2pd.provider", "0000:01:00.0/0@1", WARNING, "bound to nobody",
		       "p2pctl show 0000:01:00.0/0@1");
	assert_finding("p2pd.provider", "p2pd", OK, "2 providers to lease", "");
	p2pd_set_records(0, 3);
	ask();
	assert_finding("p2pd.provider", "p2pd", WARNING, "0 providers", "p2pctl bind");
}

static void broker_is_not_there(void **state)
{
	(void)state;
	p2pd_stop();
	ask();
	assert_finding("p2pd.socket", "p2pd", WARNING, "p2pd", "systemctl enable");
	assert_none("p2pd.policy", NULL);
	/* Who can export by himself doesn't miss it. */
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:04.0",
					.above = "pci0000:00",
					.class_code = 0x030200,
					.driver = "p2pdma_export"});
	fake_write("dev/p2pdma/0000:00:04.0", "");
	ask();
	assert_finding("p2pd.socket", "p2pd", OK, "can export without it", "");
	p2pd_start();
}

static void broker_fails(void **state)
{
	(void)state;
	p2pd_twist(WIRE_STATUS, TWIST_SHORT, 0, 1);
	ask();
	assert_finding("p2pd.socket", "p2pd", PROBLEM, "", "journalctl");
	p2pd_twist(WIRE_STATUS, TWIST_ERROR, -EACCES, 1);
	ask();
	assert_finding("p2pd.socket", "p2pd", PROBLEM, "", "SocketGroup");
	/* It answers, but not this. */
	p2pd_twist(WIRE_PROVIDERS, TWIST_ERROR, -EIO, 1);
	ask();
	assert_finding("p2pd.socket", "p2pd", OK, "answers", "");
	assert_finding("p2pd.provider", "p2pd", UNKNOWN, "doesn't list its providers",
		       "journalctl");
}

static void broker_is_left_out_of_direct_contexts(void **state)
{
	struct p2pdma_context *direct =
		fake_open_context(P2PDMA_CONTEXT_DIRECT | P2PDMA_CONTEXT_NO_HOTPLUG);

	(void)state;
	examine_as(direct, 0);
	assert_none("p2pd.socket", NULL);
	assert_int_equal(p2pd_count(WIRE_STATUS), 0);
	p2pdma_context_close(direct);
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(broker_answers),
		CASE(broker_is_not_there),
		CASE(broker_fails),
		CASE(broker_is_left_out_of_direct_contexts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
