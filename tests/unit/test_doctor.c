// SPDX-License-Identifier: MIT
/* The doctor: its list, and what it says of the process, its limits, nodes, kernel and libraries. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor_case.h"

static void query_bad_arguments_einval(void **state)
{
	struct p2pdma_finding finding = {.size_bytes = 8};

	assert_int_equal(p2pdma_doctor_query(NULL, 0, &doctor), -EINVAL);
	assert_int_equal(p2pdma_doctor_query(*state, 0, NULL), -EINVAL);
	assert_int_equal(p2pdma_doctor_query(*state, 2, &doctor), -EINVAL);
	assert_cause("unknown doctor flags 0x2");
	assert_null(doctor);
	examine();
	assert_int_equal(p2pdma_doctor_finding(doctor, 0, &finding), -EINVAL);
	assert_int_equal(p2pdma_doctor_finding(doctor, 0, NULL), -EINVAL);
	finding.size_bytes = sizeof(finding);
	assert_int_equal(p2pdma_doctor_finding(doctor, p2pdma_doctor_count(doctor), &finding),
			 -EINVAL);
	assert_int_equal(p2pdma_doctor_finding(NULL, 0, &finding), -EINVAL);
	assert_int_equal(p2pdma_doctor_count(NULL), 0);
	assert_int_equal(p2pdma_doctor_severity(NULL), P2PDMA_SEVERITY_OK);
	p2pdma_doctor_free(NULL);
}

static void finding_larger_structure_is_zeroed_behind(void **state)
{
	struct {
		struct p2pdma_finding finding;
		uint64_t later;
	} larger = {.finding.size_bytes = sizeof(larger), .later = 7};

	(void)state;
	examine();
	assert_int_equal(p2pdma_doctor_finding(doctor, 0, &larger.finding), 0);
	assert_int_equal(larger.later, 0);
	assert_int_equal(larger.finding.size_bytes, sizeof(larger));
	assert_true(*larger.finding.check && *larger.finding.evidence);
}

static void severity_is_the_gravest(void **state)
{
	struct p2pdma_finding finding;
	uint32_t gravest = 0;

	(void)state;
	examine();
	for (size_t i = 0; i < p2pdma_doctor_count(doctor); i++) {
		finding.size_bytes = sizeof(finding);
		assert_int_equal(p2pdma_doctor_finding(doctor, i, &finding), 0);
		assert_in_range(finding.severity, OK, PROBLEM);
		gravest = finding.severity > gravest ? finding.severity : gravest;
	}
	assert_int_equal(p2pdma_doctor_severity(doctor), gravest);
	assert_int_equal(gravest, PROBLEM);
	assert_string_equal(p2pdma_severity_name(OK), "ok");
	assert_string_equal(p2pdma_severity_name(WARNING), "warning");
	assert_string_equal(p2pdma_severity_name(PROBLEM), "problem");
	assert_string_equal(p2pdma_severity_name(UNKNOWN), "unknown");
	assert_string_equal(p2pdma_severity_name(0), "unknown");
	assert_string_equal(p2pdma_severity_name(77), "unknown");
}

static void query_without_pci_or_proc_still_answers(void **state)
{
	char from[128], to[128];

	(void)state;
	snprintf(from, sizeof(from), "%s/sys/bus/pci", fake.root);
	snprintf(to, sizeof(to), "%s/sys/bus/pcj", fake.root);
	assert_int_equal(rename(from, to), 0);
	snprintf(from, sizeof(from), "%s/proc", fake.root);
	snprintf(to, sizeof(to), "%s/prod", fake.root);
	assert_int_equal(rename(from, to), 0);
	examine();
	assert_finding("provider.list", "machine", PROBLEM, "no PCI", "virtual machine");
	assert_finding("permission.process", "process", UNKNOWN, "/proc/self/status", "mount");
	assert_finding("limit.map-count", NULL, UNKNOWN, "can't be read", "mount /proc");
	assert_finding("kernel.release", "kernel", UNKNOWN, "doesn't say", "uname -r");
}

static void process_privileges(void **state)
{
	(void)state;
	examine();
	assert_finding("permission.process", "process", OK, "user 1000, with CAP_SYS_ADMIN", "");
	write_process(NOBODY);
	examine();
	assert_finding("permission.process", "process", UNKNOWN, "without CAP_SYS_ADMIN", "root");
	fake_write("proc/self/status", "Name:\tp2pctl\nUid:\tmany\n");
	examine();
	assert_finding("permission.process", "process", UNKNOWN, "makes no sense", "mount /proc");
}

static void process_containers(void **state)
{
	(void)state;
	examine();
	assert_finding("permission.container", "process", OK, "in no container", "");
	fake_write(".dockerenv", "");
	examine();
	assert_finding("permission.container", "process", OK, "in a container (docker)", "");
	fake_mkdir("run/systemd");
	fake_write("run/systemd/container", "systemd-nspawn\n");
	examine();
	assert_finding("permission.container", "process", OK, "(systemd-nspawn)", "");
	fake_write("proc/self/uid_map", "         0     100000      65536\n");
	examine();
	assert_finding("permission.container", "process", WARNING, "user namespace", "on the host");
	assert_finding("permission.container", "process", WARNING, "systemd-nspawn", "memlock");
}

/* As the kernel would say; 0: no limit. */
static void limit(int resource, uint64_t value)
{
	fake.limits[resource] = value ? value + 1 : 0;
}

static void limits_of_memory(void **state)
{
	(void)state;
	examine();
	assert_finding("limit.memlock", "process", OK, "unlimited", "");
	limit(RLIMIT_MEMLOCK, 65536);
	examine();
	assert_finding("limit.memlock", "process", OK, "64 KiB, but CAP_IPC_LOCK", "");
	write_process(NOBODY);
	examine();
	assert_finding("limit.memlock", "process", PROBLEM, "64 KiB", "LimitMEMLOCK=infinity");
	limit(RLIMIT_MEMLOCK, 8 * MIB);
	examine();
	assert_finding("limit.memlock", "process", WARNING, "8192 KiB", "memlock unlimited");
	limit(RLIMIT_MEMLOCK, 64 * MIB);
	examine();
	assert_finding("limit.memlock", "process", OK, "65536 KiB", "");
}

static void limits_of_descriptors_and_mappings(void **state)
{
	(void)state;
	limit(RLIMIT_NOFILE, 32);
	fake_write("proc/sys/vm/max_map_count", "1000\n");
	examine();
	assert_finding("limit.nofile", "process", PROBLEM, "32 descriptors", "ulimit -n");
	assert_finding("limit.map-count", "vm.max_map_count", WARNING, "1000", "sysctl");
	limit(RLIMIT_NOFILE, 256);
	fake_write("proc/sys/vm/max_map_count", "65530\n");
	examine();
	assert_finding("limit.nofile", "process", WARNING, "256", "ulimit");
	assert_finding("limit.map-count", "vm.max_map_count", OK, "65530", "");
	limit(RLIMIT_NOFILE, 1024);
	fake_write("proc/sys/vm/max_map_count", "-5\n");
	examine();
	assert_finding("limit.nofile", "process", OK, "1024", "");
	assert_finding("limit.map-count", "vm.max_map_count", UNKNOWN, "can't be read", "sysctl");
	limit(RLIMIT_NOFILE, 0);
	examine();
	assert_finding("limit.nofile", "process", OK, "unlimited", "");
}

static void limits_that_cannot_be_had(void **state)
{
	(void)state;
	fake.rlimit_error = -EPERM;
	examine();
	assert_finding("limit.memlock", "process", UNKNOWN, "EPERM", "ulimit -l");
	assert_finding("limit.nofile", "process", UNKNOWN, "EPERM", "ulimit -n");
}

static void nodes_say_who_may(void **state)
{
	char path[128];

	(void)state;
	fake_mkdir("etc");
	fake_mkdir("dev/dri");
	fake_write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	fake_write("etc/group", "root:x:0:\nbroken\nrender:x:105:alice\nvideo:x:44:\n");
	fake_write("dev/dri/renderD128", "");
	fake_write("dev/dri/card0", "");
	examine();
	assert_finding("permission.node", "/dev/dri/renderD128", OK, "may be opened", "");
	assert_none("permission.node", "/dev/dri/card0");
	fake.access_errors = -EACCES;
	snprintf(path, sizeof(path), "%s/dev/dri/renderD128", fake.root);
	assert_int_equal(chmod(path, 0600), 0);
	examine();
	assert_finding("permission.node", "/dev/dri/renderD128", WARNING, "rw-------", "udev");
	fake.access_errors = -EPERM;
	examine();
	assert_finding("permission.node", "/dev/dri/renderD128", WARNING, "EPERM", "device rules");
	if (geteuid())
		skip();
	/* A group that this process isn't in, one that it is in. */
	assert_int_equal(chown(path, 0, 105), 0);
	assert_int_equal(chmod(path, 0660), 0);
	fake.access_errors = -EACCES;
	examine();
	assert_finding("permission.node", "/dev/dri/renderD128", WARNING,
		       "EACCES (rw-rw---- root:render)", "join the group render");
	assert_int_equal(chown(path, 0, 44), 0);
	examine();
	assert_finding("permission.node", "/dev/dri/renderD128", WARNING, "root:video", "udev");
}

static void kernel_module_and_p2pdma(void **state)
{
	(void)state;
	examine();
	assert_finding("kernel.release", "kernel", OK, "Linux 7.3.4-test", "");
	assert_finding("kernel.module", "p2pdma_export", WARNING, "not loaded", "modprobe");
	assert_finding("kernel.p2pdma", "kernel", UNKNOWN, "nothing here shows", "modprobe");
	fake_mkdir("sys/module/p2pdma_export");
	fake_mkdir("sys/class/p2pdma_export");
	examine();
	assert_finding("kernel.module", "p2pdma_export", OK, "0 functions", "p2pctl bind");
	assert_finding("kernel.p2pdma", "kernel", OK, "p2pdma_export is in it", "");
	fake_mkdir("sys/class/p2pdma_export/0000:01:00.0");
	examine();
	assert_finding("kernel.module", "p2pdma_export", OK, "1 functions", "");
}

static void kernel_p2pmem_shows_p2pdma(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:04.0", .above = "pci0000:00"});
	fake_mkdir("sys/bus/pci/devices/0000:00:04.0/p2pmem");
	examine();
	assert_finding("kernel.p2pdma", "kernel", OK, "has p2pmem", "");
}

static void kernel_lockdown(void **state)
{
	(void)state;
	examine();
	assert_none("kernel.lockdown", NULL);
	fake_mkdir("sys/kernel/security");
	fake_write("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	examine();
	assert_finding("kernel.lockdown", "kernel", OK, "not locked down", "");
	fake_write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	examine();
	assert_finding("kernel.lockdown", "kernel", WARNING, "[integrity]", "sign p2pdma_export");
	fake_mkdir("sys/module/p2pdma_export");
	examine();
	assert_finding("kernel.lockdown", "kernel", OK, "[integrity]", "sign");
}

static void kernel_iommu(void **state)
{
	(void)state;
	examine();
	assert_finding("kernel.iommu", "kernel", OK, "no IOMMU is on", "");
	fake_mkdir("sys/class/iommu/dmar0");
	fake_mkdir("sys/kernel/iommu_groups/0");
	examine();
	assert_finding("kernel.iommu", "kernel", OK, "1 units, 1 groups", "");
}

static void drivers_of_their_own(void **state)
{
	(void)state;
	examine();
	assert_none("driver.version", NULL);
	fake_mkdir("sys/module/mlx5_core");
	fake_write("sys/module/mlx5_core/version", "24.10-1.1.4\n");
	fake_mkdir("proc/driver/nvidia");
	fake_write("proc/driver/nvidia/version",
		   "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86\nGCC\n");
	examine();
	assert_finding("driver.version", "mlx5_core", OK, "24.10-1.1.4", "");
	assert_finding("driver.version", "nvidia", OK, "570.86", "");
	fake_write("proc/driver/nvidia/version",
		   "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.1\nGCC version\n");
	examine();
	assert_finding("driver.version", "nvidia", WARNING, "535.1", "nvidia-open");
}

static void write_bytes(const char *path, const char *bytes, size_t size)
{
	char full[128];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", fake.root, path);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void runtimes_by_cache_and_folders(void **state)
{
	/* Names alone, a path of a file that has gone, one that merely ends alike, the path. */
	static const char cache[] = "glibc-ld.so.cache1.1\0\1\2libcuda.so.1\0/gone/libcuda.so.1\0"
				    "/opt/x/notlibcuda.so.1\0/opt/y/libcuda.so.1\0";

	(void)state;
	examine();
	assert_finding("runtime.library", "libcuda.so.1", OK, "not here", "");
	fake_mkdir("etc");
	fake_mkdir("opt/x");
	fake_mkdir("opt/y");
	fake_mkdir("usr/lib64");
	fake_write("opt/x/notlibcuda.so.1", "");
	fake_write("opt/y/libcuda.so.1", "");
	fake_write("usr/lib64/libze_loader.so.1", "");
	write_bytes("etc/ld.so.cache", cache, sizeof(cache));
	examine();
	assert_finding("runtime.library", "libcuda.so.1", OK, "CUDA is at /opt/y/libcuda.so.1", "");
	assert_finding("runtime.library", "libze_loader.so.1", OK, "/usr/lib64/libze_loader", "");
	assert_finding("runtime.library", "libhsa-runtime64.so.1", OK, "not here", "");
	/* The name at the very beginning, and at the end without a NUL. */
	write_bytes("etc/ld.so.cache", "libcuda.so.1\0/opt/y/libcuda.so.1", 32);
	examine();
	assert_finding("runtime.library", "libcuda.so.1", OK, "/opt/y/libcuda.so.1", "");
}

static void runtime_missing_with_its_gpu_warns(void **state)
{
	(void)state;
	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){.address = "0000:00:04.0",
					.above = "pci0000:00",
					.vendor_id = 0x10de,
					.class_code = 0x030200});
	fake_pci_add(&(struct fake_pci){.address = "0000:00:05.0",
					.above = "pci0000:00",
					.vendor_id = 0x1002,
					.class_code = 0x040300});
	examine();
	assert_finding("runtime.library", "libcuda.so.1", WARNING, "10de", "libcuda1");
	/* A sound card needs none. */
	assert_finding("runtime.library", "libhsa-runtime64.so.1", OK, "not here", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(query_bad_arguments_einval),
		CASE(finding_larger_structure_is_zeroed_behind),
		CASE(severity_is_the_gravest),
		CASE(query_without_pci_or_proc_still_answers),
		CASE(process_privileges),
		CASE(process_containers),
		CASE(limits_of_memory),
		CASE(limits_of_descriptors_and_mappings),
		CASE(limits_that_cannot_be_had),
		CASE(nodes_say_who_may),
		CASE(kernel_module_and_p2pdma),
		CASE(kernel_p2pmem_shows_p2pdma),
		CASE(kernel_lockdown),
		CASE(kernel_iommu),
		CASE(drivers_of_their_own),
		CASE(runtimes_by_cache_and_folders),
		CASE(runtime_missing_with_its_gpu_warns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
