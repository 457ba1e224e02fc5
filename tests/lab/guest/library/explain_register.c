/* SPDX-License-Identifier: MIT */
/*
 * explain_register PART RDMADEV PROVIDER: calls that fail, made without the library, and what it
 * says of them. PARTs are
 *
 *	request		what the caller got wrong: descriptor, range, iova, access, addresses
 *	import		what the importer can't: its library, its rights, revocation
 *	export		exporting and mapping
 *	path		a provider that the importer can't reach
 *	function	an RDMA device on no PCI function, until it is lent $LENT; $DRIVERLESS is no help
 *	driver		an RDMA device whose driver registers no DMABUF at all
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/p2pdma_export.h>

#include "common/exporter.h"
#include "library/explain.h"

#define LENT	  "/sys/module/rdma_rxe/parameters/dmabuf_device"
#define REVOCABLE "/sys/module/rdma_rxe/parameters/dmabuf_revocable"
#define ATOMICS	  "/sys/module/rdma_rxe/parameters/dmabuf_atomics"

/* The mapping that the request describes; what succeeds is undone. */
static int try_map(void)
{
	int protection = PROT_READ | (request.access & P2PDMA_MAP_WRITE ? PROT_WRITE : 0);
	void *address = mmap(NULL, request.length_bytes, protection, MAP_SHARED, request.fd,
			     (off_t)request.offset_bytes);

	if (address == MAP_FAILED)
		return -errno;
	munmap(address, request.length_bytes);
	return 0;
}

static void test_descriptors(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct p2pdma_buffer *buffer = NULL;
	int ends[2] = {-1, -1};

	ask_register(999);
	explained(try_register(MR_IOCTL), -EBADF, P2PDMA_CAUSE_BAD_FD, SEEN, "999 is no open");
	request.fd = -1;
	explained(try_register(MR_IOCTL), -EBADF, P2PDMA_CAUSE_BAD_FD, SEEN, "-1 is no open");
	request.fd = null;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_NOT_DMABUF, SEEN, "is no DMABUF");
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "sockets");
	request.fd = ends[0];
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_NOT_DMABUF, SEEN, "but a socket");
	request.operation = P2PDMA_OPERATION_MAP;
	explained(try_map(), -ENODEV, P2PDMA_CAUSE_NOT_DMABUF, SEEN, "but a socket");
	told(p2pdma_buffer_adopt(lab.context, ends[0], NULL, &buffer), -EINVAL, "but a socket",
	     "library_says_no_dmabuf");
	request.operation = P2PDMA_OPERATION_REGISTER;
	close(ends[0]);
	close(ends[1]);
	request.fd = memfd_create("lab", MFD_CLOEXEC);
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_NOT_DMABUF, SEEN,
		  "a file in memory");
	close(request.fd);
	close(null);
	ask_register(fd);
	tap_ok(!try_register(MR_IOCTL), "the_slice_itself_registers", 0);
}

static void test_ranges(int fd)
{
	ask_register(fd);
	request.length_bytes = SLICE + 1;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "which has 0x20000");
	request.length_bytes = 0;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "empty");
	request.length_bytes = SLICE;
	request.iova = UINT64_MAX - 0xfff;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "address space");
	request.iova = 0x1234;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_IOVA, SEEN, "iova 0x1234");
}

static void test_access(int fd)
{
	struct p2pdma_buffer *buffer;

	ask_register(fd);
	request.access = IBV_ACCESS_REMOTE_WRITE;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_ACCESS, SEEN, "LOCAL_WRITE");
	request.access = MR_ALL_ACCESS | IBV_ACCESS_ON_DEMAND;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_ACCESS, SEEN, "ON_DEMAND");
	request.access = MR_ALL_ACCESS | 1U << 25;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_ACCESS, SEEN, "0x2000000");
	request.access = MR_ALL_ACCESS | IBV_ACCESS_REMOTE_ATOMIC;
	tap_ok(!try_register(MR_IOCTL), "a_nic_with_atomics_registers", 0);
	must(write_file(ATOMICS, "N"), ATOMICS);
	explained(try_register(MR_IOCTL), -EOPNOTSUPP, P2PDMA_CAUSE_ACCESS, SEEN,
		  "doesn't take IBV_ACCESS_REMOTE_ATOMIC");
	must(write_file(ATOMICS, "Y"), ATOMICS);
	buffer = lab_buffer(SLICE, P2PDMA_BUFFER_READ_ONLY);
	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EACCES, P2PDMA_CAUSE_READ_ONLY, SEEN, "is read-only");
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ | P2PDMA_MAP_WRITE;
	explained(try_map(), -EACCES, P2PDMA_CAUSE_READ_ONLY, SEEN, "is read-only");
	p2pdma_buffer_free(buffer);
}

/* ibv_reg_mr() of what has no pages. */
static void test_addresses(struct p2pdma_buffer *buffer)
{
	void *window, *read_only;

	must(p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE, &window),
	     "mapping");
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	request.iova = (uintptr_t)window;
	explained(try_register_memory(), -EFAULT, P2PDMA_CAUSE_DEVICE_MAPPING, SEEN,
		  "device memory is mapped");
	p2pdma_buffer_unmap(buffer, window);
	explained(try_register_memory(), -EFAULT, P2PDMA_CAUSE_NOT_MAPPED, SEEN,
		  "nothing is mapped");
	read_only = mmap(NULL, SLICE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	request.iova = (uintptr_t)read_only;
	explained(try_register_memory(), -EFAULT, P2PDMA_CAUSE_NOT_MAPPED, SEEN,
		  "may not be written");
	request.access = IBV_ACCESS_REMOTE_WRITE;
	explained(try_register_memory(), -EINVAL, P2PDMA_CAUSE_ACCESS, SEEN, "LOCAL_WRITE");
	request.access = MR_ALL_ACCESS;
	request.iova = UINT64_MAX - 0xfff;
	explained(try_register_memory(), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "address space");
	munmap(read_only, SLICE);
}

/* What a runtime may have fallen back to. */
static void test_system_memory(void)
{
	static const char *const specs[] = {"udmabuf", "heap"};
	struct exporter exporter;
	struct slice slice;

	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		must(exporter_open(specs[i], &exporter), specs[i]);
		must(exporter_slice(&exporter, 0, SLICE, 0, &slice), specs[i]);
		ask_register(slice.fd);
		request.length_bytes++;
		explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_RANGE,
			  SEEN | P2PDMA_EXPLANATION_SYSTEM_MEMORY, "which has 0x20000");
		close(slice.fd);
		exporter_close(&exporter);
	}
}

static void test_request(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	int fd = p2pdma_buffer_fd(buffer);

	tap_ok(!strcmp(p2pdma_buffer_exporter(buffer), "p2pdma_export_core"), "exporter_is_named",
	       0);
	test_descriptors(fd);
	test_ranges(fd);
	test_access(fd);
	test_addresses(buffer);
	test_system_memory();
	/* The library's own revocation, seen by a program that has the buffer and one that hasn't. */
	must(p2pdma_buffer_revoke(buffer, 0, 1000, NULL), "revoking");
	ask_register(fd);
	explained(try_register(MR_IOCTL), -ENODEV, P2PDMA_CAUSE_ENDED, LIKELY, "was revoked");
	request.provider = NULL;
	explained(-ENODEV, -ENODEV, P2PDMA_CAUSE_ENDED, LIKELY, "the DMABUF of p2pdma_export_core");
	request.buffer = buffer;
	explained(-ENODEV, -ENODEV, P2PDMA_CAUSE_REVOKED, SEEN, "has been revoked (owner)");
	told(try_library(buffer), -ESTALE, "has been revoked (owner)", "library_says_revoked");
	p2pdma_buffer_free(buffer);
}

static void test_import(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);

	/* The distribution's librxe has no such call. */
	ask_register(p2pdma_buffer_fd(buffer));
	request.flags = 0;
	explained(try_register(MR_VERBS), -EOPNOTSUPP, P2PDMA_CAUSE_NIC_LIBRARY, SEEN,
		  "the kernel registers it");
	must(write_file(REVOCABLE, "N"), REVOCABLE);
	explained(try_register(MR_VERBS), -EOPNOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, SEEN,
		  "(rxe) can't be revoked, and p2pdma_export");
	told(try_library(buffer), -EOPNOTSUPP, "(rxe) can't be revoked",
	     "library_says_unrevocable");
	p2pdma_buffer_free(buffer);
	buffer = lab_buffer(0, P2PDMA_BUFFER_ALLOW_UNREVOCABLE);
	tap_ok(!try_library(buffer), "what_it_advises_helps", 0);
	p2pdma_buffer_free(buffer);
	must(write_file(REVOCABLE, "Y"), REVOCABLE);
}

/* A raw export of something that isn't there. */
static int try_export(uint32_t bar, uint64_t offset, uint64_t length)
{
	struct p2pdma_export_range range = {offset, length};
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.bar = bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_CLOEXEC | O_RDWR,
	};
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/dev/" P2PDMA_EXPORT_DIR "/%s",
		 p2pdma_provider_function(lab.provider));
	fd = open(path, O_RDWR | O_CLOEXEC);
	must(fd < 0 ? -errno : 0, path);
	r = call(fd, P2PDMA_EXPORT_EXPORT, &arg);
	close(fd);
	request.operation = P2PDMA_OPERATION_EXPORT;
	request.offset_bytes = offset;
	request.length_bytes = length;
	request.bar = bar;
	return r;
}

static void test_export(void)
{
	uint32_t bar = p2pdma_provider_bar(lab.provider);
	uint64_t size = p2pdma_provider_size_bytes(lab.provider);
	struct p2pdma_buffer *buffer = lab_buffer(0, 0), *combining;
	void *window;
	int r;

	ask_register(-1);
	explained(try_export(bar, 0, 100), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "page size");
	explained(try_export(bar, size, 4096), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "pass the end");
	explained(try_export(5, 0, 4096), -EINVAL, P2PDMA_CAUSE_NOT_EXPORTABLE, LIKELY, "BAR 5");
	ask_register(p2pdma_buffer_fd(buffer));
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ;
	request.length_bytes = 2 * SLICE;
	explained(try_map(), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "pass the end");
	request.length_bytes = SLICE;
	must(p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ, &window), "mapping");
	combining = lab_buffer(0, P2PDMA_BUFFER_MMAP_WC);
	request.fd = p2pdma_buffer_fd(combining);
	explained(try_map(), -EBUSY, P2PDMA_CAUSE_CACHING, LIKELY, "another caching");
	r = p2pdma_buffer_map(combining, 0, SLICE, P2PDMA_MAP_READ, &window);
	told(r, -EBUSY, "P2PDMA_BUFFER_MMAP_WC must be the same", "library_says_caching");
	p2pdma_buffer_free(combining);
	p2pdma_buffer_free(buffer);
}

static void test_path(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);

	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_PATH, SEEN, "ACS at");
	request.provider = NULL;
	request.buffer = buffer;
	explained(try_register(MR_IOCTL), -EINVAL, P2PDMA_CAUSE_PATH, SEEN, "ACS at");
	told(try_library(buffer), -EINVAL, "peer to peer: ", "library_says_path");
	told(-EINVAL, -EINVAL, "pci=disable_acs_redir=", "library_says_what_to_change");
	p2pdma_buffer_free(buffer);
}

static void test_function(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);

	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EOPNOTSUPP, P2PDMA_CAUSE_NIC_FUNCTION, SEEN,
		  "is on no PCI function");
	told(try_library(buffer), -EOPNOTSUPP, "is on no PCI function", "library_says_function");
	must(write_file(LENT, getenv("DRIVERLESS")), LENT);
	explained(try_register(MR_IOCTL), -EOPNOTSUPP, P2PDMA_CAUSE_NIC_FUNCTION, SEEN,
		  "has no driver");
	must(write_file(LENT, getenv("LENT")), LENT);
	tap_ok(!try_library(buffer), "what_it_advises_helps", 0);
	p2pdma_buffer_free(buffer);
}

static void test_driver(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);

	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EOPNOTSUPP, P2PDMA_CAUSE_NIC_DRIVER, SEEN,
		  "registers no DMABUF at all");
	told(try_library(buffer), -EOPNOTSUPP, "registers no DMABUF at all", "library_says_driver");
	p2pdma_buffer_free(buffer);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*test)(void);
	} parts[] = {{"request", test_request},	  {"import", test_import},
		     {"export", test_export},	  {"path", test_path},
		     {"function", test_function}, {"driver", test_driver}};

	if (argc != 4)
		die(0, "usage: explain_register PART RDMADEV PROVIDER");
	lab_open(argv[2], argv[3]);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!strcmp(argv[1], parts[i].name))
			parts[i].test();
	}
	lab_close();
	return tap_done();
}
