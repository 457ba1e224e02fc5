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

#include <linux/p2pdma_export.h>
#include <linux/udmabuf.h>

#include "common/exporter.h"
#include "rxe_common.h"

#define BUFFER_SIZE (16 * PAGE)

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

/* A udmabuf of @count pages, each an item of its own; *ret_memfd has them in their order. */
static inline int udmabuf_create(unsigned int count, int *ret_memfd)
{
	struct udmabuf_create_list *list = calloc(1, sizeof(*list) + count * sizeof(list->list[0]));
	int memfd = memfd_create("rxe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int device = open_or_die("/dev/udmabuf");
	unsigned int i;
	int fd;

	if (!list || memfd < 0 || ftruncate(memfd, count * PAGE) ||
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
	fd = ioctl(device, UDMABUF_CREATE_LIST, list);
	if (fd < 0)
		die(-errno, "udmabuf");
	close(device);
	free(list);
	*ret_memfd = memfd;
	return fd;
}

static inline void udmabuf_init(struct buffer *buf)
{
	const unsigned int count = BUFFER_SIZE / PAGE;
	unsigned int i;
	int memfd;

	buf->fd = udmabuf_create(count, &memfd);
	buf->cpu = mmap(NULL, BUFFER_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < count; i++)
		if (mmap((uint8_t *)buf->cpu + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, memfd, shuffled(i, count) * PAGE) == MAP_FAILED)
			die(-errno, "mmap of a page");
	close(memfd);
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

/* What common/exporter.h has in one piece; the exporter stays until the program ends. */
static inline void whole_init(struct buffer *buf, const char *spec)
{
	static struct exporter exporter;
	struct slice slice;

	must(exporter_open(spec, &exporter), spec);
	must(exporter_slice(&exporter, 0, BUFFER_SIZE, 0, &slice), spec);
	buf->fd = slice.fd;
	buf->cpu = exporter_map(&exporter, &slice);
	if (!buf->cpu)
		die(-errno, "mmap of %s", spec);
}

static inline void buffer_init(struct buffer *buf, int argc, char **argv)
{
	char spec[32];

	*buf = (struct buffer){.fd = -1, .owner = -1};
	if (argc == 1 && !strcmp(argv[0], "udmabuf")) {
		udmabuf_init(buf);
	} else if (argc == 1 && !strcmp(argv[0], "heap")) {
		whole_init(buf, "heap");
	} else if (argc == 3 && !strcmp(argv[0], "export")) {
		int err = export_make(buf, export_open(argv[1]), atoi(argv[2]), O_RDWR, 0);

		if (err)
			die(err, "export");
		buf->cpu = export_cpu(argv[1], atoi(argv[2]));
	} else if (argc == 3 && !strcmp(argv[0], "vfio")) {
		snprintf(spec, sizeof(spec), "vfio:%s/%s", argv[1], argv[2]);
		whole_init(buf, spec);
	} else {
		die(0, "buffers: udmabuf, heap, export BDF BAR, vfio BDF BAR");
	}
	buf->size = BUFFER_SIZE;
}

/* All of it, at @iova. */
static inline struct mr_request buffer_request(const struct buffer *buf, uint64_t iova,
					       uint32_t access)
{
	return (struct mr_request){
		.fd = buf->fd,
		.length = buf->size,
		.iova = iova,
		.access = access,
	};
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
