/* SPDX-License-Identifier: MIT */
/*
 * explain_node PART RDMADEV PROVIDER: what stands between a program and a driver, and what the library
 * says of it. PARTs are
 *
 *	export	nodes of p2pdma_export: without rights, without a driver, during a reset
 *	vfio	a group that somebody else has
 *	nic	the RDMA device's own descriptor, and DMA handles
 *	memory	makers of system memory: files that may not be so large, what is none of them
 *	pool	a pool of p2pmem: mapped as it can't be, and after its driver has let go, which it
 *		makes it do
 *	drm	vgem's nodes $CARD and $NODE
 */
#include <libdrm/drm.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dma-heap.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "library/explain.h"

#define NOBODY 65534
#define STALE  "/dev/stale"
#define HEAP   "/dev/dma_heap/system"

static int try_new(uint32_t backend)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {0, SLICE};
	struct p2pdma_buffer *buffer = NULL;
	int r;

	options.backend = backend;
	r = p2pdma_buffer_new(lab.context, lab.provider, &range, 1, &options, &buffer);
	p2pdma_buffer_free(buffer);
	return r;
}

/* Opens it as a program without the library would. */
static int try_open(const char *node)
{
	int fd = open(node, O_RDWR | O_CLOEXEC);

	ask_register(-1);
	request.operation = P2PDMA_OPERATION_OPEN;
	request.node = node;
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Resets the function in a child; what an export meanwhile says. */
static void test_reset(void)
{
	char reset[80];
	int r, status = 0;
	pid_t child;

	snprintf(reset, sizeof(reset), "/sys/bus/pci/devices/%s/reset",
		 p2pdma_provider_function(lab.provider));
	child = (pid_t)must(fork(), "a child");
	if (!child)
		_exit(write_file(reset, "1") ? 1 : 0);
	do
		r = try_new(P2PDMA_BACKEND_EXPORT);
	while (!r && !waitpid(child, &status, WNOHANG));
	told(r, -EBUSY, "is being reset or suspended", "library_says_reset");
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_EXPORT;
	explained(r, -EBUSY, P2PDMA_CAUSE_BUSY, LIKELY, "is being reset or suspended");
	must(waitpid(child, &status, 0) == child && !status ? 0 : -EIO, reset);
	tap_ok(!try_new(P2PDMA_BACKEND_EXPORT), "after_it_all_is_well", 0);
}

static void test_export(void)
{
	char node[64];

	snprintf(node, sizeof(node), "/dev/p2pdma/%s", p2pdma_provider_function(lab.provider));
	must(seteuid(NOBODY) ? -errno : 0, "being nobody");
	explained(try_open(node), -EACCES, P2PDMA_CAUSE_PERMISSION, SEEN, "this user may not open");
	told(try_new(P2PDMA_BACKEND_EXPORT), -EACCES, "this user may not open /dev/p2pdma/",
	     "library_says_rights");
	told(try_new(P2PDMA_BACKEND_AUTO), -EACCES, "this user may not open /dev/p2pdma/",
	     "so_it_does_where_it_chooses");
	must(seteuid(0) ? -errno : 0, "being root again");
	explained(try_open("/dev/p2pdma/none"), -ENOENT, P2PDMA_CAUSE_NO_METHOD, LIKELY,
		  "there is no /dev/p2pdma/none");
	/* As it is for who opens a node between its driver's end and udev's. */
	must(mknod(STALE, S_IFCHR | 0600, makedev(511, 511)) ? -errno : 0, STALE);
	explained(try_open(STALE), -ENXIO, P2PDMA_CAUSE_DEVICE_GONE, LIKELY,
		  "its driver has let go");
	unlink(STALE);
	told(try_new(P2PDMA_BACKEND_VFIO), -EOPNOTSUPP, "vfio", "library_says_not_bound");
	test_reset();
}

static void test_vfio(void)
{
	char link[96], target[PATH_MAX] = "", node[32];
	int fd;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group",
		 p2pdma_provider_function(lab.provider));
	must(readlink(link, target, sizeof(target) - 1), link);
	snprintf(node, sizeof(node), "/dev/vfio/%d", atoi(strrchr(target, '/') + 1));
	fd = (int)must(open(node, O_RDWR | O_CLOEXEC), node);
	explained(try_open(node), -EBUSY, P2PDMA_CAUSE_BUSY, LIKELY, "somebody else has");
	told(try_new(P2PDMA_BACKEND_VFIO), -EBUSY, "somebody else has", "library_says_busy");
	close(fd);
	tap_ok(!try_new(P2PDMA_BACKEND_VFIO), "what_it_advises_helps", 0);
}

static void test_nic(void)
{
	struct p2pdma_mr_attr attr = {.size_bytes = sizeof(attr)};
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	int *cmd_fd = &lab.pair.context->cmd_fd, saved;
	struct p2pdma_mr *mr = NULL;

	/* The distribution's libibverbs has no call that takes one, so nobody looks at it. */
	attr.length_bytes = SLICE;
	attr.access = MR_ALL_ACCESS;
	attr.dmah = (struct ibv_dmah *)&attr;
	told(p2pdma_mr_register_attr(lab.pair.pd, buffer, &attr, &mr), -EOPNOTSUPP,
	     "a DMA handle needs ibv_reg_mr_ex()", "library_says_dma_handle");
	ask_register(p2pdma_buffer_fd(buffer));
	request.flags = P2PDMA_EXPLAIN_DMA_HANDLE;
	explained(-EOPNOTSUPP, -EOPNOTSUPP, P2PDMA_CAUSE_DMA_HANDLE, LIKELY, "ibv_reg_mr_ex()");

	saved = (int)must(dup(*cmd_fd), "another descriptor of the device");
	close(*cmd_fd);
	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EBADF, P2PDMA_CAUSE_BAD_FD, LIKELY,
		  "the descriptor of the RDMA device is closed");
	told(try_library(buffer), -EBADF, "the descriptor of the RDMA device is closed",
	     "library_says_closed_device");
	must(dup2(saved, *cmd_fd), "the device's descriptor again");
	close(saved);
	tap_ok(!try_library(buffer), "with_it_all_is_well", 0);
	p2pdma_buffer_free(buffer);
}

static void test_memory(void)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct dma_heap_allocation_data data = {.len = SLICE, .fd_flags = O_RDWR | O_CLOEXEC};
	struct rlimit before, limit = {SLICE / 2, RLIM_INFINITY};
	struct p2pdma_buffer *buffer = NULL;
	int r;

	must(getrlimit(RLIMIT_FSIZE, &before) ? -errno : 0, "RLIMIT_FSIZE");
	signal(SIGXFSZ, SIG_IGN);
	must(setrlimit(RLIMIT_FSIZE, &limit) ? -errno : 0, "RLIMIT_FSIZE");
	options.backend = P2PDMA_BACKEND_UDMABUF;
	r = p2pdma_buffer_new_system(lab.context, SLICE, &options, &buffer);
	told(r, -EFBIG, "RLIMIT_FSIZE", "library_says_file_size");
	must(setrlimit(RLIMIT_FSIZE, &before) ? -errno : 0, "RLIMIT_FSIZE");
	r = p2pdma_buffer_new_system(lab.context, SLICE, &options, &buffer);
	tap_ok(!r, "what_it_advises_helps", r);
	p2pdma_buffer_free(buffer);

	ask_register(-1);
	request.operation = P2PDMA_OPERATION_MEMORY_ALLOCATE;
	request.device_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	explained(call(request.device_fd, DMA_HEAP_IOCTL_ALLOC, &data), -ENOTTY,
		  P2PDMA_CAUSE_NOT_DEVICE, SEEN, "is no DMA-BUF heap");
	close(request.device_fd);
	request.device_fd = (int)must(open(HEAP, O_RDWR | O_CLOEXEC), HEAP);
	request.length_bytes = data.len = 0;
	explained(call(request.device_fd, DMA_HEAP_IOCTL_ALLOC, &data), -EINVAL, P2PDMA_CAUSE_RANGE,
		  SEEN, "aren't a multiple of the page size");
	close(request.device_fd);
}

static int map_pool(off_t offset)
{
	void *memory;

	request.offset_bytes = (uint64_t)offset;
	memory = mmap(NULL, SLICE, PROT_READ | PROT_WRITE, MAP_SHARED, request.device_fd, offset);
	if (memory == MAP_FAILED)
		return -errno;
	munmap(memory, SLICE);
	return 0;
}

static void test_pool(void)
{
	const char *function = p2pdma_provider_function(lab.provider);
	char allocate[96], unbind[96];

	snprintf(allocate, sizeof(allocate), "/sys/bus/pci/devices/%s/p2pmem/allocate", function);
	snprintf(unbind, sizeof(unbind), "/sys/bus/pci/devices/%s/driver/unbind", function);
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_POOL_ALLOCATE;
	request.device_fd = (int)must(open(allocate, O_RDWR | O_CLOEXEC), allocate);
	tap_ok(!map_pool(0), "the_pool_gives", 0);
	explained(map_pool(SLICE), -EINVAL, P2PDMA_CAUSE_RANGE, SEEN, "the kernel chooses where");
	/* So that the library has it open. */
	p2pdma_buffer_free(lab_buffer(0, 0));
	must(write_file(unbind, function), unbind);
	explained(map_pool(0), -ENODEV, P2PDMA_CAUSE_DEVICE_GONE, SEEN, "has let go of its pool");
	told(try_new(P2PDMA_BACKEND_P2PMEM), -EOPNOTSUPP, "the function has no driver",
	     "library_says_what_is_missing");
	close(request.device_fd);
}

static void test_drm(void)
{
	struct drm_mode_create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
	const char *node = getenv("NODE"), *card = getenv("CARD");
	struct drm_prime_handle prime = {0};

	ask_register(-1);
	request.operation = P2PDMA_OPERATION_GEM_ALLOCATE;
	request.device_fd = (int)must(open(node, O_RDWR | O_CLOEXEC), node);
	explained(call(request.device_fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), -EACCES,
		  P2PDMA_CAUSE_PERMISSION, SEEN, "on its primary node");
	request.operation = P2PDMA_OPERATION_GEM_QUERY;
	explained(call(request.device_fd, DRM_IO(DRM_COMMAND_END - 1), NULL), -EINVAL,
		  P2PDMA_CAUSE_NO_METHOD, LIKELY, "vgem of this kernel has no such call");
	request.operation = P2PDMA_OPERATION_GEM_IMPORT;
	request.fd = prime.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	explained(call(request.device_fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime), -EINVAL,
		  P2PDMA_CAUSE_NOT_DMABUF, SEEN, "is no DMABUF");
	close(prime.fd);
	close(request.device_fd);
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_GEM_ALLOCATE;
	request.device_fd = (int)must(open(card, O_RDWR | O_CLOEXEC), card);
	request.length_bytes = dumb.width = 0;
	explained(call(request.device_fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), -EINVAL,
		  P2PDMA_CAUSE_RANGE, SEEN, "aren't a multiple of the page size");
	close(request.device_fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die(0, "usage: explain_node PART RDMADEV PROVIDER");
	lab_open(argv[2], argv[3]);
	if (!strcmp(argv[1], "export"))
		test_export();
	else if (!strcmp(argv[1], "vfio"))
		test_vfio();
	else if (!strcmp(argv[1], "memory"))
		test_memory();
	else if (!strcmp(argv[1], "pool"))
		test_pool();
	else if (!strcmp(argv[1], "drm"))
		test_drm();
	else
		test_nic();
	lab_close();
	return tap_done();
}
