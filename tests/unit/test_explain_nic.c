// SPDX-License-Identifier: MIT
/* Explanations: RDMA devices, limits, memory by its address. */
#include <sys/resource.h>

#include "explain_case.h"

static void driver_without_dmabufs_eopnotsupp(void **state)
{
	(void)state;
	fake.driver_id = RXE;
	fake.probe_error = -EOPNOTSUPP;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_DRIVER, true,
			 "driver rxe registers no DMABUF at all on fake0");
	assert_remedy("this project's patch");
	assert_string_equal(explained.driver, "rxe");
	fake.probe_error = -EINVAL;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_DRIVER, true, "registers no DMABUF");
	/* A driver that nobody has heard of yet. */
	fake.driver_id = 100;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_DRIVER, true, "driver registers no DMABUF");
	assert_string_equal(explained.driver, "");
}

static void mlx5_without_odp_eopnotsupp(void **state)
{
	(void)state;
	fake.driver_id = MLX5;
	fake.probe_error = -EOPNOTSUPP;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_ODP, true, "no on-demand paging");
	fake.has_odp = true;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_DRIVER, true, "driver mlx5");
}

static void library_lacks_it_eopnotsupp(void **state)
{
	(void)state;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_LIBRARY, true,
			 "the kernel registers it on fake0");
	assert_remedy("p2pdma_mr_register()");
	/* What else is wrong the kernel would have said. */
	fake.uverbs_error = -EINVAL;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_LIBRARY, true,
			 "never asked, and answers EINVAL on fake0");
	fake.uverbs_error = 0;
	/* The library wasn't asked. */
	request.flags = P2PDMA_EXPLAIN_UVERBS;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	request.flags = 0;
	request.fd = -1;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	request.flags = P2PDMA_EXPLAIN_DMA_HANDLE;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_DMA_HANDLE, false, "ibv_reg_mr_ex()");
}

/* A length that was left out can't be tried again, and says nothing about the library. */
static void registration_without_a_length_eopnotsupp(void **state)
{
	(void)state;
	request.length_bytes = 0;
	fake.uverbs_error = -EINVAL;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	fake.driver_id = EFA;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, false, "can't be revoked");
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "can't be empty");
}

static void access_that_driver_refuses_eopnotsupp(void **state)
{
	(void)state;
	request.access |= IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_RELAXED_ORDERING;
	fake.refused_access = IBV_ACCESS_REMOTE_ATOMIC;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_ACCESS, true,
			 "fake0 doesn't take IBV_ACCESS_REMOTE_ATOMIC");
	assert_remedy("leave IBV_ACCESS_REMOTE_ATOMIC out");
	fake.refused_access = IBV_ACCESS_RELAXED_ORDERING;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_ACCESS, true, "IBV_ACCESS_RELAXED_ORDERING");
	fake.refused_access = IBV_ACCESS_LOCAL_WRITE;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
}

static void nic_function_eopnotsupp(void **state)
{
	(void)state;
	fake.uverbs_error = -EOPNOTSUPP;
	fake_unlink("sys/bus/pci/devices/" NIC "/driver");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_FUNCTION, true, "has no driver");
	/* On a network interface that is no device at all. */
	fake_unlink("sys/class/infiniband/fake0");
	fake_mkdir("sys/devices/virtual/infiniband/fake0");
	fake_write("sys/devices/virtual/infiniband/fake0/parent", "dummy0\n");
	fake_link("../../devices/virtual/infiniband/fake0", "sys/class/infiniband/fake0");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_FUNCTION, true, "is on no PCI function");
	assert_remedy("dmabuf_device");
	/* rxe has been lent one. */
	fake.driver_id = RXE;
	fake_mkdir(PARAMETER);
	fake_write(PARAMETER "dmabuf_device", "\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_FUNCTION, true, "is on no PCI function");
	fake_write(PARAMETER "dmabuf_device", GPU "\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	/* Gone from sysfs: nothing is known. */
	fake_unlink("sys/class/infiniband/fake0");
	fake_write(PARAMETER "dmabuf_device", "nonsense\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
}

static void importer_not_revocable_eopnotsupp(void **state)
{
	static const uint32_t pinning[] = {6, EFA, MANA, 21};

	(void)state;
	fake.uverbs_error = -EOPNOTSUPP;
	for (size_t i = 0; i < ARRAY_SIZE(pinning); i++) {
		fake.driver_id = pinning[i];
		assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, false, "can't be revoked");
		assert_remedy("P2PDMA_BUFFER_ALLOW_UNREVOCABLE");
	}
	fake.exporter = "vfio_pci_core";
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, false, "fake0 (ionic)");
	assert_remedy("p2pdma_export");
	/* GPUs pin, too: it must be something else. */
	fake.exporter = "amdgpu";
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	fake.exporter = "vfio_pci_core";
	fake.driver_id = RXE;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	fake_mkdir(PARAMETER);
	fake_write(PARAMETER "dmabuf_revocable", "Y\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false, "peer to peer");
	fake_write(PARAMETER "dmabuf_revocable", "N\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, true, "fake0 (rxe)");
	assert_explained(-ENOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, true, "fake0 (rxe)");
}

static void drivers_own_errors(void **state)
{
	(void)state;
	fake.uverbs_error = -ENOTSUPP;
	assert_explained(-ENOTSUPP, P2PDMA_CAUSE_NIC_REFUSES, false,
			 "a number of the kernel's own");
	assert_explained(-EPERM, P2PDMA_CAUSE_NIC_REFUSES, false, "doesn't allow it");
	assert_explained(-EFAULT, P2PDMA_CAUSE_NIC_REFUSES, false, "exporter's addresses");
	assert_explained(-EADDRINUSE, P2PDMA_CAUSE_IOMMU_RANGES, false, "more than one range");
	assert_explained(-ERANGE, P2PDMA_CAUSE_UNKNOWN, false, "nothing that was looked at");
	assert_remedy("log");
	request.operation = P2PDMA_OPERATION_ADOPT;
	assert_explained(-EPERM, P2PDMA_CAUSE_UNKNOWN, false, "nothing that was looked at");
}

static void kernel_without_method(void **state)
{
	(void)state;
	assert_explained(-EPROTONOSUPPORT, P2PDMA_CAUSE_NO_METHOD, false, "no method");
	fake.probe_error = -EPROTONOSUPPORT;
	assert_explained(-EPROTONOSUPPORT, P2PDMA_CAUSE_NO_METHOD, true, "no method");
	assert_remedy("5.12");
	request.pd = NULL;
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NO_METHOD, false, "no method");
}

static void nic_gone(void **state)
{
	(void)state;
	fake.probe_error = -EIO;
	assert_explained(-EIO, P2PDMA_CAUSE_NIC_GONE, true, "fake0 has gone");
	assert_explained(-ENODEV, P2PDMA_CAUSE_NIC_GONE, true, "fake0 has gone");
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	assert_explained(-EIO, P2PDMA_CAUSE_NIC_GONE, true, "fake0 has gone");
}

static void nic_limit_einval(void **state)
{
	(void)state;
	fake.max_mr_bytes = MIB / 2;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_LIMIT, true, "0x80000");
	assert_remedy("several regions");
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_LIMIT, true, "0x80000");
	request.access = IBV_ACCESS_REMOTE_WRITE;
	assert_explained(-EINVAL, P2PDMA_CAUSE_ACCESS, true, "LOCAL_WRITE");
	request.access = 0;
	request.length_bytes = 0;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "empty");
	request.operation = P2PDMA_OPERATION_REGISTER;
	request.length_bytes = MIB;
	fake.max_mr_bytes = MIB;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_REFUSES, false, "refuses");
}

static void sandbox_eperm(void **state)
{
	(void)state;
	fake.probe_error = -EPERM;
	assert_explained(-EPERM, P2PDMA_CAUSE_SANDBOX, true, "a security module or a container");
	fake_write("proc/self/status", "Name:\ttest\nSeccomp:\t2\nSeccomp_filters:\t1\n");
	assert_explained(-EPERM, P2PDMA_CAUSE_SANDBOX, true, "a seccomp filter");
	fake.probe_error = -EACCES;
	assert_explained(-EACCES, P2PDMA_CAUSE_SANDBOX, true, "a seccomp filter");
}

static void descriptors_have_run_out(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	fake.limits[RLIMIT_NOFILE] = 1025;
	for (uint32_t i = P2PDMA_OPERATION_REGISTER; i <= P2PDMA_OPERATION_RUNTIME_EXPORT; i++) {
		request.operation = i;
		assert_explained(-EMFILE, P2PDMA_CAUSE_OPEN_FILES, false, "as it may: 1024");
		assert_remedy("RLIMIT_NOFILE");
		assert_explained(-ENFILE, P2PDMA_CAUSE_SYSTEM_FILES, false, "the system");
		assert_remedy("fs.file-max");
	}
	/* Nothing can be opened: that is how it is seen. The first is fdinfo. */
	fake_fail(FAKE_OPEN_PROC, -EMFILE, 0);
	fake_fail(FAKE_OPEN_PROC, -EMFILE, 0);
	assert_explained(-EMFILE, P2PDMA_CAUSE_OPEN_FILES, true, "as it may: 1024");
	assert_string_equal(explained.exporter, "");
	/* Every call that fails for it says so. */
	fake_fail(FAKE_DUP, -EMFILE, 0);
	assert_int_equal(p2pdma_buffer_adopt(*state, dmabuf, NULL, &buffer), -EMFILE);
	assert_cause("this process has as many open descriptors as it may: 1024");
	fake_fail(FAKE_OPEN, -EMFILE, 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), -EMFILE);
	assert_cause("as it may: 1024 (EMFILE); raise RLIMIT_NOFILE");
	fake_fail(FAKE_OPEN, -ENFILE, 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), -ENFILE);
	assert_cause("the system has no room for another open file (ENFILE); sysctl");
	p2pdma_provider_unref(provider);
}

static void mappings_have_run_out_enomem(void **state)
{
	(void)state;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no limit of this process");
	fake_mkdir("proc/sys/vm");
	fake_write("proc/sys/vm/max_map_count", "100\n");
	fake_write("proc/self/maps", "one\ntwo\nthree\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no limit of this process");
	fake_write("proc/sys/vm/max_map_count", "11\n");
	for (uint32_t i = P2PDMA_OPERATION_REGISTER; i <= P2PDMA_OPERATION_MAP; i++) {
		if (i == P2PDMA_OPERATION_EXPORT)
			continue;
		request.operation = i;
		assert_explained(-ENOMEM, P2PDMA_CAUSE_MAPPINGS, true, "has 3 mappings");
		assert_remedy("vm.max_map_count=44");
	}
	fake_write("proc/sys/vm/max_map_count", "many\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no memory");
}

static void address_space_has_run_out_enomem(void **state)
{
	(void)state;
	request.operation = P2PDMA_OPERATION_MAP;
	fake.limits[RLIMIT_AS] = 10 * MIB + 1;
	fake_write("proc/self/status", "VmPeak:\t 1 kB\nVmSize:\t    9216 kB\n");
	/* It would just have fitted. */
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no memory");
	request.length_bytes++;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, true,
			 "9216 KiB of address space, wants 1025 KiB more, and may have 10240");
	assert_remedy("RLIMIT_AS");
	/* Of numbers near the end of their range none wraps around. */
	request.length_bytes = UINT64_MAX - 0xfff;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, true,
			 "wants 18014398509481980 KiB more");
	request.length_bytes = UINT64_MAX;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, true,
			 "wants 18014398509481984 KiB more");
	request.length_bytes = 1;
	fake_write("proc/self/status", "VmSize:\t 18014398509481984 kB\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, true, "wants 1 KiB more");
}

static void control_group_eagain(void **state)
{
	(void)state;
	assert_explained(-EAGAIN, P2PDMA_CAUSE_CGROUP, false, "objects of fake0");
	assert_remedy("rdma.max");
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	assert_explained(-EAGAIN, P2PDMA_CAUSE_CGROUP, false, "objects of fake0");
}

static void memory_is_locked_enomem(void **state)
{
	(void)state;
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	fake.limits[RLIMIT_MEMLOCK] = MIB + 1;
	fake_write("proc/self/status", "VmPin:\t       0 kB\nCapEff:\t0000000000000000\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no room");
	fake_write("proc/self/status", "VmPin:\t       4 kB\nCapEff:\t0000000000000000\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_MEMLOCK, true,
			 "pinned 4 KiB and wants 1024 KiB more, and may have 1024 KiB");
	assert_remedy("RLIMIT_MEMLOCK");
	/* CAP_IPC_LOCK may pin what it wants. */
	fake_write("proc/self/status", "VmPin:\t       4 kB\nCapEff:\t0000000000004000\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no room");
	/* Who may pin nothing at all is told EPERM. */
	fake.limits[RLIMIT_MEMLOCK] = 1;
	fake_write("proc/self/status", "VmPin:\t       0 kB\nCapEff:\t0000000000000000\n");
	request.length_bytes = 1;
	assert_explained(-EPERM, P2PDMA_CAUSE_MEMLOCK, true, "may have 0 KiB");
	fake.limits[RLIMIT_MEMLOCK] = MIB + 1;
	fake_write("proc/self/status", "VmPin:\t       4 kB\nCapEff:\t0000000000000000\n");
	request.length_bytes = UINT64_MAX - 0xfff;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_MEMLOCK, true, "wants 18014398509481980 KiB more");
	request.length_bytes = UINT64_MAX;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_MEMLOCK, true, "wants 18014398509481984 KiB more");
	request.length_bytes = MIB;
	/* A DMABUF isn't counted. */
	request.operation = P2PDMA_OPERATION_REGISTER;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no limit of this process");
}

static void memory_by_address_efault(void **state)
{
	static const char smaps[] = "1000-3000 r-xp 00000000 08:01 7 /bin/test\n"
				    "Size:  8 kB\nVmFlags: rd ex mr mw me\n"
				    "5000-6000 rw-s 00000000 00:0e 8 anon_inode:dmabuf\n"
				    "Size:  4 kB\nVmFlags: rd wr sh mr mw me io pf de dd\n"
				    "7000-8000 rw-p 00000000 00:00 0\n"
				    "Size:  4 kB\nVmFlags: rd wr mr mw me ac\n";

	(void)state;
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	request.iova = 0x5010;
	assert_explained(-EFAULT, P2PDMA_CAUSE_NIC_REFUSES, false, "");
	fake_write("proc/self/smaps", smaps);
	assert_explained(-EFAULT, P2PDMA_CAUSE_DEVICE_MAPPING, true, "at 0x5010 device memory");
	assert_remedy("p2pdma_mr_register()");
	request.iova = 0x4fff;
	assert_explained(-EFAULT, P2PDMA_CAUSE_NOT_MAPPED, true, "nothing is mapped at 0x4fff");
	request.iova = 0x2fff;
	assert_explained(-EFAULT, P2PDMA_CAUSE_NOT_MAPPED, true, "may not be written");
	request.access = 0;
	assert_explained(-EFAULT, P2PDMA_CAUSE_NIC_REFUSES, false, "");
	request.access = WRITABLE;
	request.iova = 0x7000;
	assert_explained(-EFAULT, P2PDMA_CAUSE_NIC_REFUSES, false, "");
	/* A kernel that knows less. */
	fake_unlink("proc/self/smaps");
	fake_write("proc/self/maps", "1000-3000 r-xp 00000000 08:01 7 /bin/test\n");
	assert_explained(-EFAULT, P2PDMA_CAUSE_NOT_MAPPED, true, "nothing is mapped at 0x7000");
}

static void registration_says_why(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;

	fake.verbs_error = -EOPNOTSUPP;
	fake.uverbs_error = -EOPNOTSUPP;
	fake.driver_id = EFA;
	assert_int_equal(p2pdma_buffer_adopt(*state, dmabuf, NULL, &buffer), 0);
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, WRITABLE, &mr),
			 -EOPNOTSUPP);
	assert_cause("registering 0x100000 bytes of dmabuf:");
	assert_cause("with fake0: fake0 (efa) can't be revoked");
	assert_cause("(EOPNOTSUPP); export with P2PDMA_BUFFER_ALLOW_UNREVOCABLE");
	p2pdma_buffer_free(buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(driver_without_dmabufs_eopnotsupp),
		CASE(mlx5_without_odp_eopnotsupp),
		CASE(library_lacks_it_eopnotsupp),
		CASE(registration_without_a_length_eopnotsupp),
		CASE(access_that_driver_refuses_eopnotsupp),
		CASE(nic_function_eopnotsupp),
		CASE(importer_not_revocable_eopnotsupp),
		CASE(drivers_own_errors),
		CASE(kernel_without_method),
		CASE(nic_gone),
		CASE(nic_limit_einval),
		CASE(sandbox_eperm),
		CASE(descriptors_have_run_out),
		CASE(mappings_have_run_out_enomem),
		CASE(address_space_has_run_out_enomem),
		CASE(control_group_eagain),
		CASE(memory_is_locked_enomem),
		CASE(memory_by_address_efault),
		CASE(registration_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
