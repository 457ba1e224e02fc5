/* SPDX-License-Identifier: MIT */
#ifndef EXPLAIN_CASE_H
#define EXPLAIN_CASE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake_machine.h"
#include "fake_vfio.h"

/*
 * A machine with a function that exports and an RDMA device "fake0" on another, and one question to
 * p2pdma_explain(). Drivers' numbers are those of enum rdma_driver_id.
 */

#define GPU	  "0000:11:00.0"
#define NIC	  "0000:12:00.0"
#define MLX5	  1U
#define RXE	  14U
#define EFA	  17U
#define MANA	  20U

#define WRITABLE  ((uint32_t)(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE))
#define PARAMETER "sys/module/rdma_rxe/parameters/"

static struct p2pdma_explain_request request;
static struct p2pdma_explanation explained;
static int dmabuf;

static inline int case_setup(void **state)
{
	static const struct p2pdma_explain_request init = P2PDMA_EXPLAIN_REQUEST_INIT;
	int r = fake_setup(state);

	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:01.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:02.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = GPU, .above = "0000:00:01.0", .driver = "p2pdma_export"});
	fake_pci_add(
		&(struct fake_pci){.address = NIC, .above = "0000:00:02.0", .driver = "mlx5_core"});
	fake_rdma_add("fake0", NIC);
	fake_cpu_set("AuthenticAMD", 25);
	fake_mkdir("proc/self");
	fake.exporter = "p2pdma_export_core";
	dmabuf = fake_make_dmabuf(MIB);
	request = init;
	request.operation = P2PDMA_OPERATION_REGISTER;
	request.fd = dmabuf;
	request.length_bytes = MIB;
	request.access = WRITABLE;
	request.pd = fake_pd();
	request.provider = GPU "/2";
	return r;
}

static inline int case_teardown(void **state)
{
	fake_sys.close(dmabuf);
	return fake_teardown(state);
}

/* What is the cause of @error? It must have been seen, or not, and be said so. */
static inline void assert_explained(int error, uint32_t cause, bool is_seen, const char *says)
{
	explained = (struct p2pdma_explanation)P2PDMA_EXPLANATION_INIT;
	assert_int_equal(p2pdma_explain(fake_context(), error, &request, &explained), 0);
	if (explained.cause != cause || !strstr(explained.sentence, says))
		fail_msg("%s: \"%s\" instead of %s, \"%s\"", p2pdma_cause_name(explained.cause),
			 explained.sentence, p2pdma_cause_name(cause), says);
	assert_int_equal(explained.flags, is_seen ? P2PDMA_EXPLANATION_SEEN : 0);
	assert_int_equal(explained.error, error);
	assert_int_equal(strncmp(explained.section, "p2pdma_explain(3), ", 19), 0);
	assert_int_equal(fake.nr_mrs, 0);
}

static inline void assert_remedy(const char *says)
{
	if (!strstr(explained.remedy, says))
		fail_msg("the remedy \"%s\" doesn't say \"%s\"", explained.remedy, says);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, case_setup, case_teardown)

#endif /* EXPLAIN_CASE_H */
