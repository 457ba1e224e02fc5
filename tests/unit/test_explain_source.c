// SPDX-License-Identifier: MIT
/* Explanations: device nodes, iommufd, pools, system memory, GPU runtimes. */
#include <fcntl.h>
#include <p2pdma/iommufd.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain_case.h"

#define PAGE 4096U

/* A call, what it said, and what that must have been. */
struct row {
	int error;
	uint32_t cause;
	bool is_seen;
	const char *says;
};

static void assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_explained(rows[i].error, rows[i].cause, rows[i].is_seen, rows[i].says);
}

static void ask(uint32_t operation)
{
	request = (struct p2pdma_explain_request)P2PDMA_EXPLAIN_REQUEST_INIT;
	request.operation = operation;
}

/* sysfs says that /dev/null, which a fake device is open on, is this one. */
static void call_null(const char *subsystem, const char *name)
{
	char target[64];

	fake_mkdir("sys/dev/char");
	snprintf(target, sizeof(target), "../../devices/virtual/%s/%s", subsystem, name);
	fake_link(target, "sys/dev/char/1:3");
	snprintf(target, sizeof(target), "sys/devices/virtual/%s/%s", subsystem, name);
	fake_mkdir(target);
	snprintf(target, sizeof(target), "sys/devices/virtual/%s/%s/subsystem", subsystem, name);
	fake_link("../../../../class/nothing", target);
}

static void request_of_an_older_program(void **state)
{
	struct p2pdma_explain_request old = P2PDMA_EXPLAIN_REQUEST_INIT;

	old.operation = P2PDMA_OPERATION_IOMMUFD_MAP;
	old.size_bytes = offsetof(struct p2pdma_explain_request, device_fd);
	old.device_fd = 77; /* behind its end */
	explained = (struct p2pdma_explanation)P2PDMA_EXPLANATION_INIT;
	assert_int_equal(p2pdma_explain(*state, EBADF, &old, &explained), 0);
	assert_non_null(strstr(explained.sentence, "-1 is no open descriptor"));
	old.size_bytes -= 8;
	assert_int_equal(p2pdma_explain(*state, EBADF, &old, &explained), -EINVAL);
}

static void open_refused(void **state)
{
	static const struct row rows[] = {
		{-ENOENT, P2PDMA_CAUSE_NO_METHOD, false, "there is no /dev/udmabuf"},
		{-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, false, "nothing is behind /dev/udmabuf"},
		{-ENXIO, P2PDMA_CAUSE_DEVICE_GONE, false, "nothing is behind /dev/udmabuf"},
		{-EACCES, P2PDMA_CAUSE_PERMISSION, false, "this user may not open /dev/udmabuf"},
		{-EPERM, P2PDMA_CAUSE_SANDBOX, false, "device rules of this container"},
		{-EBUSY, P2PDMA_CAUSE_BUSY, false, "has /dev/udmabuf open alone"},
		{-EIO, P2PDMA_CAUSE_UNKNOWN, false, "nothing that was looked at"},
	};
	static const struct {
		const char *node, *remedy;
	} nodes[] = {
		{"/dev/udmabuf", "CONFIG_UDMABUF"},
		{"/dev/dma_heap/system", "CONFIG_DMABUF_HEAPS_SYSTEM"},
		{"/dev/dma_heap/linux,cma", "no such heap"},
		{"/dev/dri/renderD128", "load the GPU's driver"},
		{"/dev/iommu", "CONFIG_IOMMUFD"},
		{"/dev/vfio/7", "bind the function to vfio-pci"},
		{"/dev/p2pdma/" GPU, "load p2pdma_export"},
		{"/dev/null", "passed into the container"},
	};

	(void)state;
	ask(P2PDMA_OPERATION_OPEN);
	request.node = "/dev/udmabuf";
	assert_rows(rows, ARRAY_SIZE(rows));
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		request.node = nodes[i].node;
		assert_explained(-ENOENT, P2PDMA_CAUSE_NO_METHOD, false, nodes[i].node);
		assert_remedy(nodes[i].remedy);
	}
	request.node = "/sys/bus/pci/devices/" GPU "/p2pmem/allocate";
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_METHOD, true,
			 "the function is bound to p2pdma_export");
	fake_unlink("sys/bus/pci/devices/" GPU "/driver");
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_METHOD, true, "the function has no driver");
	request.node = "/sys/bus/pci/devices/none";
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_METHOD, false, "there is no /sys/bus");
	request.node = NULL;
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_METHOD, false, "there is no the device node");
}

static void open_says_who_may(void **state)
{
	char path[128];

	(void)state;
	ask(P2PDMA_OPERATION_OPEN);
	request.node = "/dev/udmabuf";
	fake_mkdir("etc");
	fake_write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	fake_write("etc/group", "root:x:0:\nkvm:x:105:alice\n");
	fake_write("dev/udmabuf", "");
	snprintf(path, sizeof(path), "%s/dev/udmabuf", fake.root);
	assert_int_equal(chmod(path, 0600), 0);
	assert_explained(-EACCES, P2PDMA_CAUSE_PERMISSION, true, "/dev/udmabuf (rw-------");
	assert_remedy("let udev give it to a group");
	if (geteuid())
		skip();
	assert_int_equal(chown(path, 0, 105), 0);
	assert_int_equal(chmod(path, 0660), 0);
	assert_explained(-EACCES, P2PDMA_CAUSE_PERMISSION, true, "(rw-rw---- root:kvm)");
	assert_remedy("join the group kvm");
	fake.groups[0] = 105;
	assert_explained(-EACCES, P2PDMA_CAUSE_PERMISSION, true, "(rw-rw---- root:kvm)");
	assert_remedy("udev");
}

static void ask_iommufd(void)
{
	ask(P2PDMA_OPERATION_IOMMUFD_MAP);
	request.fd = dmabuf;
	request.length_bytes = 4 * PAGE;
	request.access = P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE;
	request.device_fd = fake_add_fd(open("/dev/null", O_RDWR | O_CLOEXEC), FAKE_IOMMUFD);
	request.object = FAKE_IOAS;
	fake.exporter = "vfio_pci_core";
}

static void iommufd_refused(void **state)
{
	static const struct row rows[] = {
		{-ENOTTY, P2PDMA_CAUSE_NO_METHOD, true, "maps no DMABUFs"},
		{-EOPNOTSUPP, P2PDMA_CAUSE_NO_METHOD, true, "maps no DMABUFs"},
		{-ENOENT, P2PDMA_CAUSE_NO_OBJECT, false, "no address space 7"},
		{-EADDRINUSE, P2PDMA_CAUSE_IOVA_TAKEN, false, "0x4000 I/O addresses in a row"},
		{-ENOSPC, P2PDMA_CAUSE_IOVA_TAKEN, false, "in a row left for the device"},
		{-EEXIST, P2PDMA_CAUSE_IOVA_TAKEN, false, "in a row left for the device"},
		{-EINVAL, P2PDMA_CAUSE_IMPORTER_REFUSES, false, "takes memfds only"},
		{-ENODEV, P2PDMA_CAUSE_ENDED, false, "was revoked"},
		{-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "the kernel has no memory"},
	};

	(void)state;
	ask_iommufd();
	assert_rows(rows, ARRAY_SIZE(rows));
	request.object++;
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_OBJECT, true, "no address space 8");
	request.object--;
	fake.exporter = "p2pdma_export_core";
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_EXPORTER, true, "made by p2pdma_export_core");
	assert_remedy("vfio-pci");
	fake.exporter = "vfio_pci_core";
	/* Is it one at all? The device says, or sysfs. */
	fake.kinds[request.device_fd] = FAKE_UDMABUF;
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NOT_DEVICE, true, "knows no address spaces");
	call_null("misc", "null");
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NOT_DEVICE, true, "(/dev/iommu) but null");
	call_null("misc", "iommu");
	fake.kinds[request.device_fd] = FAKE_IOMMUFD;
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NO_METHOD, true, "maps no DMABUFs");
	fake_sys.close(request.device_fd);
	assert_explained(-EBADF, P2PDMA_CAUSE_BAD_FD, true, "the device's descriptor");
}

static void iommufd_range_einval(void **state)
{
	(void)state;
	ask_iommufd();
	request.length_bytes = 100;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "an IOMMU maps whole pages");
	request.length_bytes = MIB + PAGE;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "which has 0x100000");
	request.length_bytes = PAGE;
	request.iova = 0x100;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IMPORTER_REFUSES, false, "memfds");
	request.access |= P2PDMA_IOMMUFD_FIXED_IOVA;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IOVA, true, "is no multiple of the page size");
	request.iova = FAKE_IOVA_LAST + 1;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IOVA, true, "0x0 to 0xffffffffff");
	assert_remedy("P2PDMA_IOMMUFD_FIXED_IOVA");
	request.iova = FAKE_IOVA_LAST + 1 - PAGE;
	request.length_bytes = 2 * PAGE;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IOVA, true, "outside the addresses");
	assert_explained(-EOVERFLOW, P2PDMA_CAUSE_IOVA, true, "outside the addresses");
	request.length_bytes = PAGE;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IMPORTER_REFUSES, false, "memfds");
	assert_explained(-EADDRINUSE, P2PDMA_CAUSE_IOVA_TAKEN, false, "mapped already");
	fake_sys.close(request.device_fd);
}

static void iommufd_path_and_access(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, P2PDMA_BUFFER_READ_ONLY);

	(void)state;
	fake_cpu_set("GenuineIntel", 6);
	ask_iommufd();
	request.provider = GPU "/2";
	request.importer = NIC;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_PATH, true, NIC " can't reach " GPU "/2");
	request.buffer = buffer;
	assert_explained(-EACCES, P2PDMA_CAUSE_READ_ONLY, true, "is read-only");
	assert_remedy("map it for reading");
	request.access = P2PDMA_IOMMUFD_READ;
	assert_explained(-EACCES, P2PDMA_CAUSE_IMPORTER_REFUSES, false, "");
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_explained(-EINVAL, P2PDMA_CAUSE_REVOKED, true, "has been revoked");
	fake_sys.close(request.device_fd);
	p2pdma_buffer_free(buffer);
}

static void pool_refused(void **state)
{
	static const struct row rows[] = {
		{-ENOMEM, P2PDMA_CAUSE_FRAGMENTED, false, "but not 0x100000 in one piece"},
		{-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, false, "has let go of its pool"},
		{-ENXIO, P2PDMA_CAUSE_DEVICE_GONE, false, "has let go of its pool"},
		{-EACCES, P2PDMA_CAUSE_MAKER_REFUSES, false, "doesn't map memory of the pool"},
	};

	(void)state;
	fake_mkdir("sys/bus/pci/devices/" GPU "/p2pmem");
	fake_write("sys/bus/pci/devices/" GPU "/p2pmem/size", "16777216\n");
	fake_write("sys/bus/pci/devices/" GPU "/p2pmem/available", "2097152\n");
	fake_write("sys/bus/pci/devices/" GPU "/p2pmem/published", "0\n");
	ask(P2PDMA_OPERATION_POOL_ALLOCATE);
	request.provider = GPU "/p2pmem";
	request.length_bytes = MIB;
	assert_rows(rows, ARRAY_SIZE(rows));
	request.length_bytes = 2 * MIB + PAGE;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_ROOM, true,
			 GPU "/p2pmem has 0x200000 of 0x1000000 bytes free, and 0x201000");
	request.length_bytes = MIB;
	request.offset_bytes = PAGE;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "from offset 0 on");
	request.offset_bytes = 0;
	assert_explained(-EINVAL, P2PDMA_CAUSE_MAKER_REFUSES, false, "doesn't map");
	/* It was the process that has no more room. */
	fake_mkdir("proc/sys/vm");
	fake_write("proc/sys/vm/max_map_count", "10\n");
	fake_write("proc/self/maps", "one\ntwo\nthree\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_MAPPINGS, true, "has 3 mappings");
	fake_unlink("proc/self/maps");
	fake.limits[RLIMIT_AS] = 10 * MIB + 1;
	fake_write("proc/self/status", "VmSize:\t    9217 kB\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, true, "may have 10240 KiB");
	fake.limits[RLIMIT_AS] = 0;
	fake_unlink("sys/bus/pci/devices/" GPU "/p2pmem/size");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_ROOM, false, "has no 0x100000 bytes");
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "has let go of its pool");
	request.provider = NULL;
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_ROOM, false, "the pool has no");
}

static void memory_refused(void **state)
{
	static const struct row rows[] = {
		{-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "the kernel has no memory"},
		{-EINVAL, P2PDMA_CAUSE_MAKER_REFUSES, false, "no such buffer of system memory"},
		{-EFBIG, P2PDMA_CAUSE_RANGE, false, "more than a file may be"},
		{-ENOTTY, P2PDMA_CAUSE_MAKER_REFUSES, false, "no such buffer"},
	};

	(void)state;
	ask(P2PDMA_OPERATION_MEMORY_ALLOCATE);
	request.object = P2PDMA_BACKEND_UDMABUF;
	request.length_bytes = MIB;
	assert_rows(rows, ARRAY_SIZE(rows));
	request.length_bytes = 0;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "page size 4096");
	request.length_bytes = 65 * MIB;
	fake_mkdir("sys/module/udmabuf/parameters");
	fake_write("sys/module/udmabuf/parameters/size_limit_mb", "64\n");
	assert_explained(-EINVAL, P2PDMA_CAUSE_SIZE_LIMIT, true, "at most 64 MiB");
	assert_remedy("/sys/module/udmabuf/parameters/size_limit_mb");
	request.object = P2PDMA_BACKEND_HEAP;
	assert_explained(-EINVAL, P2PDMA_CAUSE_MAKER_REFUSES, false, "no such buffer");
	fake_write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:   66559 kB\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, true, "66559 KiB of memory available");
	fake_write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:   66560 kB\n");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "the kernel has no memory");
	fake.limits[RLIMIT_FSIZE] = MIB + 1;
	assert_explained(-EFBIG, P2PDMA_CAUSE_SIZE_LIMIT, true, "files of 1024 KiB");
	/* What the node is when it isn't one. */
	request.device_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_explained(-ENOTTY, P2PDMA_CAUSE_MAKER_REFUSES, false, "");
	call_null("misc", "null");
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NOT_DEVICE, true, "is no DMA-BUF heap");
	call_null("misc", "udmabuf");
	assert_explained(-EINVAL, P2PDMA_CAUSE_SIZE_LIMIT, true, "at most 64 MiB");
	close(request.device_fd);
	request.device_fd = eventfd(0, EFD_CLOEXEC);
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NOT_DEVICE, true, "is no DMA-BUF heap");
	close(request.device_fd);
}

static void runtime_refused(void **state)
{
	static const struct row rows[] = {
		{-EOPNOTSUPP, P2PDMA_CAUSE_MAKER_REFUSES, false, "CUDA can't export this memory"},
		{-ENOENT, P2PDMA_CAUSE_ADDRESS, false, "0x7010 is no address of CUDA"},
		{-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "no memory"},
		{-EPERM, P2PDMA_CAUSE_MAKER_REFUSES, false, "the runtime's own result"},
		{-EIO, P2PDMA_CAUSE_MAKER_REFUSES, false, "the runtime's own result"},
	};

	(void)state;
	ask(P2PDMA_OPERATION_RUNTIME_EXPORT);
	request.object = P2PDMA_BACKEND_CUDA;
	request.iova = 0x7010;
	request.length_bytes = PAGE;
	assert_rows(rows, ARRAY_SIZE(rows));
	fake_write("proc/self/smaps", "7000-8000 rw-p 00000000 00:00 0\nVmFlags: rd wr mr\n");
	assert_explained(-ENOENT, P2PDMA_CAUSE_ADDRESS, false,
			 "0x7010 is memory of this program, and no address of CUDA");
	assert_remedy("ibv_reg_mr()");
	fake_write("proc/self/smaps", "7000-8000 rw-p 00000000 00:00 0\nVmFlags: rd wr io\n");
	assert_explained(-ENOENT, P2PDMA_CAUSE_ADDRESS, false, "0x7010 is no address of CUDA");
	request.object = P2PDMA_BACKEND_AUTO;
	assert_explained(-ENOENT, P2PDMA_CAUSE_ADDRESS, false, "that this process has loaded");
	assert_remedy("runtime_context");
	fake_mkdir("proc/driver/nvidia");
	fake_write("proc/driver/nvidia/version", "NVRM version: Kernel Module  570.1\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_MAKER_REFUSES, false, "can't export");
	request.object = P2PDMA_BACKEND_CUDA;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_CLOSED_DRIVER, true, "570.1");
	assert_remedy("nvidia-open");
	fake_write("proc/driver/nvidia/version", "NVRM version: Open Kernel Module  570.1\n");
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_MAKER_REFUSES, false, "can't export");
	request.object = P2PDMA_BACKEND_ZE;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_MAKER_REFUSES, false, "Level Zero can't");
	request.object = P2PDMA_BACKEND_HSA;
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_MAKER_REFUSES, false, "HSA can't");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(request_of_an_older_program),
		CASE(open_refused),
		CASE(open_says_who_may),
		CASE(iommufd_refused),
		CASE(iommufd_range_einval),
		CASE(iommufd_path_and_access),
		CASE(pool_refused),
		CASE(memory_refused),
		CASE(runtime_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
