/* SPDX-License-Identifier: MIT */
/*
 * explain_end END RDMADEV PROVIDER: memory and devices that come to their end, and what the
 * library says of calls after it. ENDs are
 *
 *	vfio	decode off, close; and what VFIO's exports can't at all
 *	driver	the provider's function loses its driver: prints READY and waits for it
 *	memory	the function is unplugged, in the same way
 *	slot	so it is, and another device comes into its slot
 *	nic	that of the RDMA device is unplugged
 *	gpu	that of the DRM device $GPU
 */
#include <libdrm/drm.h>
#include <fcntl.h>
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

static void wait_until(bool there, const char *path)
{
	int64_t deadline = now_ns() + WAIT_NS;

	while (is_there(path) != there && now_ns() < deadline)
		usleep(20000);
	tap_ok(is_there(path) == there, there ? "another_has_come" : "it_has_gone", 0);
}

static void wait_for_end(const char *path)
{
	printf("# READY\n");
	fflush(stdout);
	wait_until(false, path);
}

/* The driver's link goes before the driver does. */
static void wait_for_revocation(struct p2pdma_buffer *buffer)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	int64_t deadline = now_ns() + WAIT_NS;

	do {
		must(p2pdma_buffer_query(buffer, &status), "the buffer's state");
		usleep(20000);
	} while (status.state != P2PDMA_BUFFER_GONE && now_ns() < deadline);
	tap_ok(status.state == P2PDMA_BUFFER_GONE, "the_buffer_has_ended", status.state);
}

/* The memory ends when @ends has gone; with the descriptor alone sysfs @says why. */
static void test_memory(const char *ends, const char *says)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	char path[80], function[64];
	struct exporter exporter;
	struct slice slice;

	snprintf(path, sizeof(path), "export:%s", p2pdma_provider_name(lab.provider));
	must(exporter_open(path, &exporter), path);
	snprintf(function, sizeof(function), "/sys/bus/pci/devices/%s",
		 p2pdma_provider_function(lab.provider));
	snprintf(path, sizeof(path), "%s%s", function, ends);
	wait_for_end(path);
	if (strstr(says, "in its slot"))
		wait_until(true, function);
	wait_for_revocation(buffer);
	/* By the kernel's word that the buffer hears, and by sysfs where there is only the fd. */
	told(try_library(buffer), -ENODEV, "has gone (remove)", "library_says_gone");
	ask_register(p2pdma_buffer_fd(buffer));
	request.provider = p2pdma_provider_unique_name(lab.provider);
	explained(try_register(MR_IOCTL), -ENODEV, P2PDMA_CAUSE_DEVICE_GONE, SEEN, says);
	request.operation = P2PDMA_OPERATION_MAP;
	explained(try_map(request.fd), -ENODEV, P2PDMA_CAUSE_DEVICE_GONE, SEEN, says);
	request.operation = P2PDMA_OPERATION_EXPORT;
	explained(exporter_slice(&exporter, 0, SLICE, 0, &slice), -ENODEV, P2PDMA_CAUSE_DEVICE_GONE,
		  SEEN, says);
	exporter_close(&exporter);
	p2pdma_buffer_free(buffer);
}

static void test_gpu(void)
{
	struct drm_mode_create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
	const char *name = getenv("GPU");
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/dri/%s", name);
	fd = (int)must(open(path, O_RDWR | O_CLOEXEC), path);
	must(call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), "an object of the GPU");
	/* What is left of it last. */
	snprintf(path, sizeof(path), "/sys/class/drm/%s", name);
	wait_for_end(path);
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_GEM_ALLOCATE;
	request.device_fd = fd;
	explained(call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), -ENODEV, P2PDMA_CAUSE_DEVICE_GONE,
		  SEEN, "was unplugged, or has lost its driver");
	close(fd);
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
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	request.iova = (uintptr_t)path;
	request.length_bytes = sizeof(path);
	explained(try_register_memory(), -EIO, P2PDMA_CAUSE_NIC_GONE, SEEN, "has gone");
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
		test_memory("", "there is no such function");
	} else if (!strcmp(argv[1], "driver")) {
		test_memory("/driver", "has lost its driver");
	} else if (!strcmp(argv[1], "slot")) {
		test_memory("", "is in its slot now");
	} else if (!strcmp(argv[1], "gpu")) {
		test_gpu();
	} else {
		test_nic(argv[2]);
	}
	lab_close();
	return tap_done();
}
