// SPDX-License-Identifier: MIT
/* The doctor: what it couldn't look at is said, and never taken for what isn't there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "doctor_case.h"

/* A link to itself: it is there, and not even root can look at it. */
static void hide(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	fake_link(name, path);
}

static void hidden_directories_are_unknown(void **state)
{
	static const struct {
		const char *path, *check, *subject;
	} cases[] = {
		{"sys/class/infiniband", "rdma.devices", "machine"},
		{"sys/class/p2pdma_export", "kernel.module", "p2pdma_export"},
		{"sys/class/iommu", "kernel.iommu", "kernel"},
		{"sys/kernel/iommu_groups", "kernel.iommu", "kernel"},
		{"dev/dri", "permission.node", "/dev/dri"},
		{"dev/vfio", "permission.node", "/dev/vfio"},
	};

	(void)state;
	fake_mkdir("sys/kernel");
	fake_mkdir("sys/class");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		hide(cases[i].path);
		examine();
		assert_finding(cases[i].check, cases[i].subject, UNKNOWN,
			       "can't be looked at: ELOOP", "as root");
		fake_unlink(cases[i].path);
	}
}

static void hidden_nodes_of_rdma_are_unknown(void **state)
{
	(void)state;
	fake_mkdir("sys/class/infiniband/mlx5_0");
	hide("sys/class/infiniband_verbs");
	examine();
	assert_finding("rdma.node", "mlx5_0", UNKNOWN, "can't be looked at: ELOOP", "as root");
	fake_unlink("sys/class/infiniband_verbs");
	hide("sys/class/infiniband/mlx5_0/ports");
	examine();
	assert_finding("rdma.port", "mlx5_0", UNKNOWN, "can't be looked at: ELOOP", "as root");
}

/* Its configuration space, after the PCI tree was looked at. */
static void empty_config(void)
{
	fake_write("sys/bus/pci/devices/0000:00:04.0/config", "");
}

static void hidden_bar_is_unknown(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:04.0", .above = "pci0000:00", .class_code = 0x030200});
	fake_rdma_add("mlx5_0", "0000:00:04.0");
	fake_mkdir("sys/class/infiniband_verbs/uverbs0");
	fake_write("sys/class/infiniband_verbs/uverbs0/ibdev", "mlx5_0\n");
	fake_mkdir("dev/infiniband");
	fake_write("dev/infiniband/uverbs0", "");
	examine();
	assert_finding("provider.bar", "0000:00:04.0/2", OK, "can't be resized", "");
	fake.on_open = empty_config;
	examine();
	assert_finding("provider.bar", "0000:00:04.0/2", UNKNOWN,
		       "its configuration space can't be looked at: EIO", "as root");
}

/* All findings in one text. */
static char *report_text(void)
{
	struct p2pdma_finding finding;
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	for (size_t i = 0; i < p2pdma_doctor_count(doctor); i++) {
		finding = (struct p2pdma_finding)P2PDMA_FINDING_INIT;
		assert_int_equal(p2pdma_doctor_finding(doctor, i, &finding), 0);
		fprintf(file, "%s %s %s\n", finding.check, finding.subject, finding.evidence);
	}
	fclose(file);
	return text;
}

/* With few descriptors the report is all there, or there is none: nothing is left out. */
static void few_descriptors_hide_nothing(void **state)
{
	struct rlimit before, few;
	char *whole, *text;
	int r, fd, nr_whole = 0;

	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:04.0", .above = "pci0000:00", .class_code = 0x030200});
	fake_rdma_add("mlx5_0", "0000:00:04.0");
	fake_mkdir("sys/class/infiniband/mlx5_0/ports/1");
	fake_write("sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n");
	fake_mkdir("sys/class/iommu/dmar0");
	fake_mkdir("sys/class/p2pdma_export/0000:00:04.0");
	fake_mkdir("sys/kernel/iommu_groups/0");
	fake_mkdir("dev/dri");
	fake_write("dev/dri/renderD128", "");
	examine();
	whole = report_text();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	for (int spare = 0; spare < 16; spare++) {
		few = before;
		few.rlim_cur = (rlim_t)(fd + spare);
		p2pdma_doctor_free(doctor);
		doctor = NULL;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = p2pdma_doctor_query(*state, 0, &doctor);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (r) {
			assert_int_equal(r, -EMFILE);
			assert_cause("open descriptors");
			assert_null(doctor);
			continue;
		}
		text = report_text();
		assert_string_equal(text, whole);
		free(text);
		nr_whole++;
	}
	assert_true(nr_whole > 0);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(hidden_directories_are_unknown),
		CASE(hidden_nodes_of_rdma_are_unknown),
		CASE(hidden_bar_is_unknown),
		CASE(few_descriptors_hide_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
