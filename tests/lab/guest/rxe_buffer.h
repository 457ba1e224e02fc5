/* SPDX-License-Identifier: MIT */
/*
 * The DMABUFs that rxe's import is tested with. buffer_init() takes the words of
 * the command line that name one:
 *
 *   udmabuf              pages of a memfd, in an order that no two follow another
 *   heap                 the system DMA heap
 *   export BDF BAR       p2pdma_export, in ranges that no two follow another
 *   vfio BDF BAR         a whole BAR by vfio-pci; needs an IOMMU
 *
 * Each has BUFFER_SIZE bytes and the CPU's view of them, by a way that isn't
 * the DMABUF's where there is one.
 */
#ifndef RXE_BUFFER_H
#define RXE_BUFFER_H

#include <linux/dma-heap.h>
#include <linux/p2pdma_export.h>
#include <linux/udmabuf.h>
#include <linux/vfio.h>
#include <sys/stat.h>

#include "rxe_common.h"

#define BUFFER_SIZE (16 * PAGE)

#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
#define VFIO_DEVICE_FEATURE_DMA_BUF 11
#endif

struct buffer {
	int fd;
	size_t size;
	volatile uint8_t *cpu; /* in the order of the DMABUF */
	int owner;	       /* fd of the exporter, -1 without */
	uint32_t export_id;
};

static inline void *map_cpu(int fd, size_t size, off_t offset)
{
	void *cpu = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (cpu == MAP_FAILED)
		die(-errno, "mmap");
	return cpu;
}

static inline int open_or_die(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(-errno, "%s", path);
	return fd;
}

/* Every second page, then the others, so that neighbours are nowhere neighbours. */
static inline uint64_t shuffled(unsigned int i, unsigned int count)
{
	return i < count / 2 ? 2 * i + 1 : 2 * (i - count / 2);
}

static inline void udmabuf_init(struct buffer *buf)
{
	const unsigned int count = BUFFER_SIZE / PAGE;
	struct udmabuf_create_list *list = calloc(1, sizeof(*list) + count * sizeof(list->list[0]));
	int memfd = memfd_create("rxe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int device = open_or_die("/dev/udmabuf");
	unsigned int i;

	if (!list || memfd < 0 || ftruncate(memfd, BUFFER_SIZE) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		die(-errno, "memfd");

	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = count;
	for (i = 0; i < count; i++)
		list->list[i] = (struct udmabuf_create_item){
			.memfd = memfd,
			.offset = shuffled(i, count) * PAGE,
			.size = PAGE,
		};
	buf->fd = ioctl(device, UDMABUF_CREATE_LIST, list);
	if (buf->fd < 0)
		die(-errno, "udmabuf");

	buf->cpu = mmap(NULL, BUFFER_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < count; i++)
		if (mmap((uint8_t *)buf->cpu + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, memfd, shuffled(i, count) * PAGE) == MAP_FAILED)
			die(-errno, "mmap of a page");
	close(device);
	close(memfd);
	free(list);
}

static inline void heap_init(struct buffer *buf)
{
	struct dma_heap_allocation_data data = {
		.len = BUFFER_SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open_or_die("/dev/dma_heap/system");

	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		die(-errno, "heap");
	buf->fd = data.fd;
	buf->cpu = map_cpu(buf->fd, BUFFER_SIZE, 0);
	close(heap);
}

/* One export of p2pdma_export on the file @owner; 0 or -errno. */
static inline int export_make(struct buffer *buf, int owner, unsigned int bar, uint32_t open_flags,
			      uint32_t flags)
{
	struct p2pdma_export_range ranges[BUFFER_SIZE / PAGE];
	const unsigned int count = BUFFER_SIZE / PAGE;
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.bar = bar,
		.nr_ranges = count,
		.ranges = (uintptr_t)ranges,
		.open_flags = open_flags | O_CLOEXEC,
	};
	unsigned int i;

	for (i = 0; i < count; i++)
		ranges[i] = (struct p2pdma_export_range){
			.offset = shuffled(i, count) * PAGE,
			.length = PAGE,
		};
	if (ioctl(owner, P2PDMA_EXPORT_EXPORT, &arg))
		return -errno;

	*buf = (struct buffer){
		.fd = arg.fd,
		.size = arg.size,
		.owner = owner,
		.export_id = arg.export_id,
	};
	return 0;
}

static inline int export_open(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/" P2PDMA_EXPORT_DIR "/%s", bdf);
	return open_or_die(path);
}

/*
 * The CPU's view of what export_make() exports, by another export that has the
 * pages in the BAR's order. It outlives a revocation of the first.
 */
static inline volatile uint8_t *export_cpu(const char *bdf, unsigned int bar)
{
	struct p2pdma_export_range range = {.length = BUFFER_SIZE};
	const unsigned int count = BUFFER_SIZE / PAGE;
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.bar = bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_RDWR | O_CLOEXEC,
	};
	uint8_t *cpu = mmap(NULL, BUFFER_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (ioctl(export_open(bdf), P2PDMA_EXPORT_EXPORT, &arg))
		die(-errno, "export for the CPU");
	for (i = 0; i < count; i++)
		if (mmap(cpu + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 arg.fd, shuffled(i, count) * PAGE) == MAP_FAILED)
			die(-errno, "mmap of an export");
	close(arg.fd);
	return cpu;
}

static inline int vfio_open_device(const char *bdf)
{
	char path[96], target[96];
	int container = open_or_die("/dev/vfio/vfio");
	ssize_t length;
	int group, device;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		die(-errno, "%s", path);
	target[length] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%.16s", strrchr(target, '/') + 1);
	group = open_or_die(path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die(-errno, "vfio container");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device < 0)
		die(-errno, "vfio device");
	return device;
}

static inline void vfio_init(struct buffer *buf, const char *bdf, unsigned int bar)
{
	union {
		struct vfio_device_feature head;
		uint8_t bytes[sizeof(struct vfio_device_feature) + 32];
	} feature = {.head = {
			     .argsz = sizeof(feature),
			     .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		     }};
	uint32_t request[4] = {bar, O_RDWR | O_CLOEXEC, 0, 1};
	uint64_t range[2] = {0, BUFFER_SIZE};
	struct vfio_region_info info = {.argsz = sizeof(info), .index = bar};

	buf->owner = vfio_open_device(bdf);
	memcpy(feature.head.data, request, sizeof(request));
	memcpy(feature.head.data + sizeof(request), range, sizeof(range));
	buf->fd = ioctl(buf->owner, VFIO_DEVICE_FEATURE, &feature);
	if (buf->fd < 0)
		die(-errno, "vfio DMABUF");
	if (ioctl(buf->owner, VFIO_DEVICE_GET_REGION_INFO, &info))
		die(-errno, "vfio region");
	buf->cpu = map_cpu(buf->owner, BUFFER_SIZE, info.offset);
}

static inline void buffer_init(struct buffer *buf, int argc, char **argv)
{
	*buf = (struct buffer){.fd = -1, .owner = -1};
	if (argc == 1 && !strcmp(argv[0], "udmabuf")) {
		udmabuf_init(buf);
	} else if (argc == 1 && !strcmp(argv[0], "heap")) {
		heap_init(buf);
	} else if (argc == 3 && !strcmp(argv[0], "export")) {
		int err = export_make(buf, export_open(argv[1]), atoi(argv[2]), O_RDWR, 0);

		if (err)
			die(err, "export");
		buf->cpu = export_cpu(argv[1], atoi(argv[2]));
	} else if (argc == 3 && !strcmp(argv[0], "vfio")) {
		vfio_init(buf, argv[1], atoi(argv[2]));
	} else {
		die(0, "buffers: udmabuf, heap, export BDF BAR, vfio BDF BAR");
	}
	buf->size = BUFFER_SIZE;
}

static inline void buffer_read(const struct buffer *buf, size_t offset, uint8_t *bytes,
			       size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		bytes[i] = buf->cpu[offset + i];
}

static inline void buffer_write(const struct buffer *buf, size_t offset, const uint8_t *bytes,
				size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		buf->cpu[offset + i] = bytes[i];
}

/* Offset of the first byte that isn't @want's; -1 when all are equal. */
static inline long buffer_differs(const struct buffer *buf, size_t offset, const uint8_t *want,
				  size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (buf->cpu[offset + i] != want[i])
			return i;
	return -1;
}

#endif
