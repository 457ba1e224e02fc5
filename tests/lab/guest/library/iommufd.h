/* SPDX-License-Identifier: MIT */
/*
 * What the programs have in common that map by iommufd: VFIO's edu device, attached to an I/O address
 * space, and slices of another device for it.
 */
#ifndef LAB_IOMMUFD_H
#define LAB_IOMMUFD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"

/* iommufd's and VFIO's numbers that Debian 12's headers lack. */
#define IOAS_ALLOC     _IO(';', 0x81)
#define IOAS_MAP_FILE  _IO(';', 0x8f)
#define BIND_IOMMUFD   _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 19)
#define MAP_ALL	       7U /* fixed iova, writeable, readable */

#define PAGE	       4096ULL
#define SLICE	       0x4000ULL /* each step takes the engine 100 ms */
#define OFFSET	       0x300000ULL
#define BAR_IOVA       0x20000000ULL

struct ioas_alloc {
	uint32_t size, flags, id;
};

struct bind {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t devid;
};

struct attach {
	uint32_t argsz, flags, pt_id;
};

struct ioas_map_file {
	uint32_t size, flags, id;
	int32_t fd;
	uint64_t start, length, iova;
};

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static const char *edu_name;
static int iommufd;
static uint32_t ioas;

static inline int open_cdev(const char *bdf)
{
	char path[128], node[320] = "";
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	must(dir ? 0 : -errno, path);
	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(node, sizeof(node), "/dev/vfio/devices/%s", entry->d_name);
	}
	closedir(dir);
	return (int)must(*node ? open(node, O_RDWR | O_CLOEXEC) : -1, "opening the edu device");
}

static inline void enable_bus_master(int fd)
{
	struct vfio_region_info config = {.argsz = sizeof(config),
					  .index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	must(call(fd, VFIO_DEVICE_GET_REGION_INFO, &config), "the configuration space");
	must(pwrite(fd, &command, sizeof(command), (off_t)config.offset + PCI_COMMAND) == 2 ? 0 :
											      -EIO,
	     "turning bus mastering on");
}

/* Opens the edu device with an address space of its own; its descriptor of VFIO. */
static inline int open_edu(void)
{
	struct ioas_alloc alloc = {.size = sizeof(alloc)};
	struct bind bind = {.argsz = sizeof(bind)};
	struct attach attach = {.argsz = sizeof(attach)};
	int fd;

	iommufd = (int)must(open("/dev/iommu", O_RDWR | O_CLOEXEC), "/dev/iommu");
	fd = open_cdev(edu_name);
	bind.iommufd = iommufd;
	must(call(fd, BIND_IOMMUFD, &bind), "VFIO_DEVICE_BIND_IOMMUFD");
	must(call(iommufd, IOAS_ALLOC, &alloc), "IOMMU_IOAS_ALLOC");
	ioas = attach.pt_id = alloc.id;
	must(call(fd, ATTACH_IOMMUFD, &attach), "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	enable_bus_master(fd);
	return fd;
}

static inline void open_all(const char *from, const char *edu)
{
	edu_name = edu;
	must(p2pdma_context_open(NULL, &context), "opening the library");
	must(p2pdma_provider_find(context, from, &provider), from);
}

static inline void close_all(void)
{
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
}

static inline int map_slice(struct p2pdma_buffer *buffer, uint32_t flags, const char *importer,
			    struct p2pdma_iommufd_mapping **ret_mapping)
{
	struct p2pdma_iommufd_attr attr = {
		.size_bytes = sizeof(attr),
		.flags = flags | P2PDMA_IOMMUFD_FIXED_IOVA,
		.iommufd = iommufd,
		.ioas_id = ioas,
		.length_bytes = SLICE,
		.iova = BAR_IOVA,
		.importer = importer,
	};

	return p2pdma_iommufd_map(buffer, &attr, ret_mapping);
}

static inline struct p2pdma_buffer *new_buffer_for(struct p2pdma_provider *from, size_t nr_ranges,
						   uint32_t flags)
{
	struct p2pdma_range ranges[] = {{OFFSET, SLICE}, {OFFSET + 4 * SLICE, SLICE}};
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *buffer;

	options.flags = flags;
	must(p2pdma_buffer_new(context, from, ranges, nr_ranges, &options, &buffer), "exporting");
	return buffer;
}

static inline struct p2pdma_buffer *new_buffer(struct p2pdma_provider *from, size_t nr_ranges)
{
	return new_buffer_for(from, nr_ranges, 0);
}

/* What the kernel is asked for such a slice, but for the descriptor. */
static inline struct ioas_map_file map_of_slice(void)
{
	return (struct ioas_map_file){.size = sizeof(struct ioas_map_file),
				      .flags = MAP_ALL,
				      .id = ioas,
				      .length = SLICE,
				      .iova = BAR_IOVA};
}

/* What the kernel says of a mapping that the library refuses by itself, and what that is called. */
static inline void by_hand(struct p2pdma_buffer *buffer, struct ioas_map_file *map, int want,
			   uint32_t cause, const char *name)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	struct p2pdma_explanation why = P2PDMA_EXPLANATION_INIT;
	int r;

	map->fd = request.fd = p2pdma_buffer_fd(buffer);
	r = call(iommufd, IOAS_MAP_FILE, map);
	request.operation = P2PDMA_OPERATION_IOMMUFD_MAP;
	request.provider = p2pdma_provider_unique_name(provider);
	request.offset_bytes = map->start;
	request.length_bytes = map->length;
	request.iova = map->iova;
	request.access = P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE | P2PDMA_IOMMUFD_FIXED_IOVA;
	request.device_fd = iommufd;
	request.object = ioas;
	must(p2pdma_explain(context, r, &request, &why), "explaining");
	printf("# %s: %s\n", p2pdma_cause_name(why.cause), why.sentence);
	tap_ok(r == want && why.cause == cause, name, r);
}

#endif /* LAB_IOMMUFD_H */
