// SPDX-License-Identifier: MIT
/* Explanations: arguments, the descriptor and the memory behind it, exporting, mapping. */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "explain_case.h"

static void explain_bad_arguments_einval(void **state)
{
	struct p2pdma_context *other = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_explanation small = {.size_bytes = 8};

	explained = (struct p2pdma_explanation)P2PDMA_EXPLANATION_INIT;
	assert_int_equal(p2pdma_explain(NULL, EINVAL, &request, &explained), -EINVAL);
	assert_int_equal(p2pdma_explain(*state, EINVAL, NULL, &explained), -EINVAL);
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, NULL), -EINVAL);
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &small), -EINVAL);
	assert_int_equal(p2pdma_explain(*state, 0, &request, &explained), -EINVAL);
	assert_cause("0 is no error");
	assert_int_equal(p2pdma_explain(*state, -4096, &request, &explained), -EINVAL);
	assert_int_equal(p2pdma_explain(*state, INT32_MIN, &request, &explained), -EINVAL);
	request.operation = 0;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &explained), -EINVAL);
	assert_cause("operation 0");
	request.operation = P2PDMA_OPERATION_RUNTIME_EXPORT + 1;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &explained), -EINVAL);
	request.operation = P2PDMA_OPERATION_ADOPT;
	request.flags = 1U << 31;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &explained), -EINVAL);
	assert_cause("0x80000000");
	request.flags = 0;
	request.size_bytes = 4;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &explained), -EINVAL);
	request.size_bytes = sizeof(request);
	assert_int_equal(p2pdma_buffer_adopt(other, dmabuf, NULL, &buffer), 0);
	request.buffer = buffer;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &explained), -EINVAL);
	assert_cause("another context");
	p2pdma_buffer_free(buffer);
	p2pdma_context_close(other);
}

static void explain_future_request_e2big(void **state)
{
	struct {
		struct p2pdma_explain_request request;
		uint64_t future;
	} big = {request, 1};
	struct {
		struct p2pdma_explanation explanation;
		uint64_t future;
	} answer = {{.size_bytes = sizeof(answer)}, 1};

	big.request.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_explain(*state, EINVAL, &big.request, &answer.explanation), -E2BIG);
	big.future = 0;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &big.request, &answer.explanation), 0);
	assert_int_equal(answer.future, 0);
	assert_int_equal(answer.explanation.size_bytes, sizeof(answer));
}

static void explain_leaves_context_error(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	assert_int_equal(p2pdma_buffer_adopt(*state, -1, NULL, &buffer), -EBADF);
	assert_cause("-1 is no open descriptor");
	/* The path has a provider that isn't there, and looking for it fails inside. */
	request.provider = "0000:77:00.0/2";
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_REFUSES, false, "refuses the range");
	assert_cause("-1 is no open descriptor");
}

static void explain_either_sign(void **state)
{
	request.fd = 999;
	explained = (struct p2pdma_explanation)P2PDMA_EXPLANATION_INIT;
	assert_int_equal(p2pdma_explain(*state, EBADF, &request, &explained), 0);
	assert_int_equal(explained.cause, P2PDMA_CAUSE_BAD_FD);
	assert_int_equal(explained.error, -EBADF);
	assert_string_equal(explained.section, "p2pdma_explain(3), Descriptors");
}

static void cause_names_differ(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		const char *name = p2pdma_cause_name(i);

		for (uint32_t j = 0; j < i && strcmp(name, "unknown") != 0; j++)
			assert_string_not_equal(name, p2pdma_cause_name(j));
	}
	assert_string_equal(p2pdma_cause_name(P2PDMA_CAUSE_NO_MEMORY), "no-memory");
	assert_string_equal(p2pdma_cause_name(UINT32_MAX), "unknown");
}

static void descriptor_closed_ebadf(void **state)
{
	(void)state;
	request.fd = 999;
	assert_explained(-EBADF, P2PDMA_CAUSE_BAD_FD, true, "999 is no open descriptor");
	request.fd = -1;
	assert_explained(-EBADF, P2PDMA_CAUSE_BAD_FD, true, "-1 is no open descriptor");
	/* With a good one it was another descriptor. */
	request.fd = dmabuf;
	assert_explained(-EBADF, P2PDMA_CAUSE_BAD_FD, false, "descriptor of the RDMA device");
}

static void descriptor_of_other_file_einval(void **state)
{
	static const struct {
		uint64_t magic;
		const char *says;
	} cases[] = {
		{SOCKFS_MAGIC, "is no DMABUF but a socket"},
		{PIPEFS_MAGIC, "a pipe"},
		{ANON_INODE_FS_MAGIC, "an eventfd"},
		{TMPFS_MAGIC, "udmabuf makes a DMABUF of it"},
		{0xef53, "a file of the filesystem 0xef53"},
	};

	(void)state;
	request.fd = eventfd(0, EFD_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake.fs_type = cases[i].magic;
		request.operation = i % 2 ? P2PDMA_OPERATION_ADOPT : P2PDMA_OPERATION_REGISTER;
		assert_explained(-EINVAL, P2PDMA_CAUSE_NOT_DMABUF, true, cases[i].says);
		assert_remedy("/proc/PID/fd/");
	}
	close(request.fd);
}

static void range_einval(void **state)
{
	(void)state;
	request.length_bytes = MIB + 1;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "which has 0x100000");
	request.length_bytes = 0;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "empty");
	request.length_bytes = 0x2000;
	request.iova = UINT64_MAX - 0xfff;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "end of the address space");
	request.iova = 0x1234;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IOVA, true, "differ below the page size 4096");
	assert_remedy("begins a page");
	request.offset_bytes = 0x200;
	assert_explained(-EINVAL, P2PDMA_CAUSE_IOVA, true, "offset 0x200");
	assert_remedy("0x200 beyond a page");
	/* The size of what is no DMABUF is unknown, and so is its end. */
	request.fd = -1;
	request.iova = 0x200;
	request.offset_bytes = 0x200;
	request.length_bytes = 1ULL << 50;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_REFUSES, false, "refuses");
}

static void access_einval(void **state)
{
	(void)state;
	request.access = IBV_ACCESS_REMOTE_WRITE;
	assert_explained(-EINVAL, P2PDMA_CAUSE_ACCESS, true, "needs IBV_ACCESS_LOCAL_WRITE");
	request.access = IBV_ACCESS_ON_DEMAND;
	assert_explained(-EINVAL, P2PDMA_CAUSE_ACCESS, true, "IBV_ACCESS_ON_DEMAND");
	/* The library drops it, the kernel doesn't know it. */
	request.access = 1U << 25;
	assert_explained(-EINVAL, P2PDMA_CAUSE_ACCESS, true, "0x2000000");
}

static void read_only_eacces(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, P2PDMA_BUFFER_READ_ONLY);
	char path[32];
	int fd;

	(void)state;
	request.buffer = buffer;
	request.fd = -1;
	assert_explained(-EACCES, P2PDMA_CAUSE_READ_ONLY, true, "is read-only");
	assert_remedy("IBV_ACCESS_REMOTE_READ");
	request.access = IBV_ACCESS_REMOTE_READ;
	assert_explained(-EACCES, P2PDMA_CAUSE_PERMISSION, false, "not allowed");
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ;
	assert_explained(-EACCES, P2PDMA_CAUSE_UNKNOWN, false, "");
	request.access |= P2PDMA_MAP_WRITE;
	assert_explained(-EACCES, P2PDMA_CAUSE_READ_ONLY, true, "is read-only");
	p2pdma_buffer_free(buffer);
	/* Of a foreign one by how it is open. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dmabuf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	request.buffer = NULL;
	request.fd = fake_add_fd(fd, FAKE_DMABUF);
	assert_explained(-EACCES, P2PDMA_CAUSE_READ_ONLY, true, GPU "/2 is read-only");
	fake_sys.close(fd);
}

static void buffer_revoked_whatever_error(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	request.buffer = buffer;
	request.fd = -1;
	request.provider = NULL;
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "its function is there");
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_explained(-ENODEV, P2PDMA_CAUSE_REVOKED, true, "has been revoked (owner)");
	assert_explained(-EINVAL, P2PDMA_CAUSE_REVOKED, true, p2pdma_buffer_name(buffer));
	assert_remedy("new buffer");
	request.operation = P2PDMA_OPERATION_MAP;
	assert_explained(-ENODEV, P2PDMA_CAUSE_REVOKED, true, "has been revoked");
	p2pdma_buffer_free(buffer);
}

static void buffer_device_gone(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	request.buffer = buffer;
	fake_leave();
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "the device of 0000:01:00.0/2@");
	p2pdma_buffer_free(buffer);
}

static void memory_ended_enodev(void **state)
{
	static const uint8_t off[2] = {0x04, 0}, on[2] = {0x06, 0};
	char path[128];
	int fd;

	(void)state;
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "its function is there");
	request.provider = GPU "/2@1";
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "is in its slot now");
	request.provider = "0000:77:00.0/2";
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "there is no such function");
	request.provider = NULL;
	assert_explained(-EIO, P2PDMA_CAUSE_ENDED, false, "the DMABUF of p2pdma_export_core");
	request.provider = "nonsense";
	assert_explained(-ESTALE, P2PDMA_CAUSE_ENDED, false, "by its exporter");
	/* VFIO's revocation is in configuration space. */
	request.provider = GPU "/2";
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" GPU "/config", fake.root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, off, 2, 4), 2);
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "revoked");
	fake.exporter = "vfio_pci_core";
	assert_explained(-ENODEV, P2PDMA_CAUSE_DECODE_OFF, true, "memory decode");
	assert_int_equal(pwrite(fd, on, 2, 4), 2);
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "revoked");
	close(fd);
	fake_unlink("sys/bus/pci/devices/" GPU "/driver");
	assert_explained(-ENODEV, P2PDMA_CAUSE_DEVICE_GONE, true, "has lost its driver");
}

static void path_blocked_einval(void **state)
{
	/* Before anybody has asked what processor it is. */
	fake_cpu_set("GenuineIntel", 6);
	assert_explained(-EINVAL, P2PDMA_CAUSE_PATH, true, "fake0 can't reach " GPU "/2");
	assert_non_null(strstr(explained.sentence, "8086:29c0"));
	assert_remedy("switch");
	/* Memory of the machine has no path, whatever it is taken for. */
	fake.exporter = "system";
	explained = (struct p2pdma_explanation)P2PDMA_EXPLANATION_INIT;
	assert_int_equal(p2pdma_explain(*state, EINVAL, &request, &explained), 0);
	assert_int_equal(explained.cause, P2PDMA_CAUSE_NIC_REFUSES);
	assert_int_equal(explained.flags, P2PDMA_EXPLANATION_SYSTEM_MEMORY);
	assert_non_null(strstr(explained.sentence, "the machine's own memory (system)"));
	fake.exporter = "amdgpu";
	assert_explained(-EINVAL, P2PDMA_CAUSE_PATH, true, "fake0 can't reach " GPU "/2");
	/* What isn't known can't be looked at. */
	request.provider = NULL;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_REFUSES, false, "refuses");
	request.provider = GPU "/2";
	request.pd = NULL;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NIC_REFUSES, false, "refuses");
}

static void export_refused(void **state)
{
	(void)state;
	request = (struct p2pdma_explain_request)P2PDMA_EXPLAIN_REQUEST_INIT;
	request.operation = P2PDMA_OPERATION_EXPORT;
	request.provider = GPU "/2";
	request.bar = 2;
	request.length_bytes = 4096;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NOT_EXPORTABLE, false, "BAR 2 of " GPU "/2");
	request.length_bytes = 100;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "page size 4096");
	request.length_bytes = 1ULL << 40;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "which has 0x400000000");
	assert_explained(-EPERM, P2PDMA_CAUSE_PERMISSION, false,
			 "/sys/class/p2pdma_export/" GPU "/allow_unrevocable");
	assert_explained(-EBUSY, P2PDMA_CAUSE_BUSY, false, "reset or suspended");
	assert_explained(-ENOTTY, P2PDMA_CAUSE_NO_METHOD, false, "VFIO_DEVICE_FEATURE_DMA_BUF");
	assert_explained(-ENOENT, P2PDMA_CAUSE_NO_METHOD, false, "isn't bound");
	assert_explained(-EACCES, P2PDMA_CAUSE_PERMISSION, false, "device node of " GPU);
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "its function is there");
	assert_explained(-ENOMEM, P2PDMA_CAUSE_NO_MEMORY, false, "the kernel has no memory");
	assert_explained(-ERANGE, P2PDMA_CAUSE_UNKNOWN, false, "nothing that was looked at");
	request.provider = "0000:77:00.0/2";
	assert_explained(-ENXIO, P2PDMA_CAUSE_DEVICE_GONE, true, "no such function");
	assert_explained(-ESTALE, P2PDMA_CAUSE_DEVICE_GONE, true, "no such function");
}

static void adopt_refused(void **state)
{
	(void)state;
	request.operation = P2PDMA_OPERATION_ADOPT;
	assert_explained(-ENODEV, P2PDMA_CAUSE_ENDED, false, "was revoked");
	request.fd = eventfd(0, EFD_CLOEXEC);
	assert_explained(-EINVAL, P2PDMA_CAUSE_NOT_DMABUF, true, "is no DMABUF");
	close(request.fd);
}

static void map_refused(void **state)
{
	(void)state;
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NO_MMAP, false, "has no mmap");
	fake.exporter = "vfio_pci_core";
	assert_explained(-EOPNOTSUPP, P2PDMA_CAUSE_NO_MMAP, false, "has no mmap");
	assert_remedy("map the BAR");
	request.offset_bytes = 1;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "don't begin on a page");
	request.offset_bytes = 4096;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "pass the end");
	request.length_bytes = MIB - 8191;
	assert_explained(-EINVAL, P2PDMA_CAUSE_NO_MMAP, false, "has no mmap");
	request.offset_bytes = MIB;
	request.length_bytes = 4096;
	assert_explained(-EINVAL, P2PDMA_CAUSE_RANGE, true, "pass the end");
	assert_explained(-EBUSY, P2PDMA_CAUSE_CACHING, false, "another caching");
	request.fd = eventfd(0, EFD_CLOEXEC);
	assert_explained(-ENODEV, P2PDMA_CAUSE_NOT_DMABUF, true, "is no DMABUF");
	close(request.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(explain_bad_arguments_einval),
		CASE(explain_future_request_e2big),
		CASE(explain_leaves_context_error),
		CASE(explain_either_sign),
		CASE(cause_names_differ),
		CASE(descriptor_closed_ebadf),
		CASE(descriptor_of_other_file_einval),
		CASE(range_einval),
		CASE(access_einval),
		CASE(read_only_eacces),
		CASE(buffer_revoked_whatever_error),
		CASE(buffer_device_gone),
		CASE(memory_ended_enodev),
		CASE(path_blocked_einval),
		CASE(export_refused),
		CASE(adopt_refused),
		CASE(map_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
