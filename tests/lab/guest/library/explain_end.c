/* SPDX-License-Identifier: MIT */
/*
 * explain_end END RDMADEV PROVIDER: memory and devices that come to their end, and what the
 * library says of calls after it. ENDs are
 *
 *	vfio	decode off, close; and what VFIO's exports can't at all
 *	memory	the provider's function is unplugged: prints READY and waits for it
 *	nic	that of the RDMA device, in the same way
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "common/exporter.h"
#include "library/explain.h"

#define WAIT_NS	  (60 * 1000000000LL)
#define REVOCABLE "/sys/module/rdma_rxe/parameters/dmabuf_revocable"

static int try_map(int fd)
{
	void *address = mmap(NULL, SLICE, PROT_READ, MAP_SHARED, fd, 0);

	if (address == MAP_FAILED)
		return -errno;
	munmap(address, SLICE);
	return 0;
}

/* VFIO's own interface: what the library would do at once is done step by step. */
static void test_vfio_by_hand(const char *provider)
{
	struct exporter exporter;
	struct slice slice;
	char spec[64];
	int64_t ns;

	snprintf(spec, sizeof(spec), "vfio:%s", provider);
	must(exporter_open(spec, &exporter), spec);
	must(exporter_slice(&exporter, 0, SLICE, 0, &slice), "exporting");
	ask_register(slice.fd);
	tap_ok(!try_register(MR_IOCTL), "a_slice_of_vfio_registers", 0);
	must(write_file(REVOCABLE, "N"), REVOCABLE);
	explained(try_register(MR_IOCTL), -EOPNOTSUPP, P2PDMA_CAUSE_UNREVOCABLE, SEEN,
		  "(rxe) can't be revoked, and vfio");
	must(write_file(REVOCABLE, "Y"), REVOCABLE);
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ;
	explained(try_map(slice.fd), -EINVAL, P2PDMA_CAUSE_NO_MMAP, LIKELY, "has no mmap");
	must(exporter_revoke(&exporter, &slice, "decode-off", &ns), "decode off");
	ask_register(slice.fd);
	explained(try_register(MR_IOCTL), -ENODEV, P2PDMA_CAUSE_DECODE_OFF, SEEN,
		  "the memory decode of");
	must(exporter_revoke(&exporter, &slice, "decode-on", &ns), "decode on");
	tap_ok(!try_register(MR_IOCTL), "what_it_advises_helps", 0);
	exporter_close(&exporter);
	ask_register(slice.fd);
	request.provider = NULL;
	explained(try_register(MR_IOCTL), -ENODEV, P2PDMA_CAUSE_ENDED, LIKELY,
		  "the DMABUF of vfio_pci");
	close(slice.fd);
}

/* Kernels up to 7.3 link each range at the same IOVA. */
static void test_vfio_ranges(void)
{
	struct p2pdma_range ranges[2] = {{4 * SLICE, SLICE}, {SLICE, SLICE}};
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;
	int r;

	must(p2pdma_buffer_new(lab.context, lab.provider, ranges, 2, NULL, &buffer), "exporting");
	r = p2pdma_mr_register(lab.pair.pd, buffer, 0, 2 * SLICE, 0, MR_ALL_ACCESS, &mr);
	if (r) {
		told(r, -EADDRINUSE, "more than one range of a DMABUF", "library_says_ranges");
	} else {
		tap_skip("library_says_ranges", "this kernel maps two ranges through an IOMMU");
		must(p2pdma_mr_deregister(mr), "deregistering");
	}
	p2pdma_buffer_free(buffer);
}

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

static void wait_for_end(const char *path)
{
	int64_t deadline = now_ns() + WAIT_NS;

	printf("# READY\n");
	fflush(stdout);
	while (is_there(path) && now_ns() < deadline)
		usleep(20000);
	tap_ok(!is_there(path), "it_has_gone", 0);
}

static void test_memory(const char *provider)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s",
		 p2pdma_provider_function(lab.provider));
	wait_for_end(path);
	/* By the kernel's word that the buffer hears, and by sysfs where there is only the fd. */
	told(try_library(buffer), -ENODEV, "has gone (remove)", "library_says_gone");
	ask_register(p2pdma_buffer_fd(buffer));
	request.provider = provider;
	explained(try_register(MR_IOCTL), -ENODEV, P2PDMA_CAUSE_DEVICE_GONE, SEEN,
		  "there is no such function");
	p2pdma_buffer_free(buffer);
}

static void test_nic(const char *device)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s", device);
	wait_for_end(path);
	ask_register(p2pdma_buffer_fd(buffer));
	r = try_register(MR_IOCTL);
	explained(r, -EIO, P2PDMA_CAUSE_NIC_GONE, SEEN, "has gone");
	told(try_library(buffer), -EIO, "the RDMA device", "library_says_nic_gone");
	p2pdma_buffer_free(buffer);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die(0, "usage: explain_end END RDMADEV PROVIDER");
	lab_open(argv[2], argv[3]);
	if (!strcmp(argv[1], "vfio")) {
		test_vfio_by_hand(argv[3]);
		test_vfio_ranges();
	} else if (!strcmp(argv[1], "memory")) {
		test_memory(argv[3]);
	} else {
		test_nic(argv[2]);
	}
	lab_close();
	return tap_done();
}
