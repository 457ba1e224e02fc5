/* SPDX-License-Identifier: MIT */
/*
 * The exporters, by their kernel interfaces alone.
 *
 * Peer memory lives in a BAR: either our module's node or a VFIO device (group
 * and type1 container) gives the DMABUF. System memory comes from udmabuf over
 * a sealed memfd or from the system dma-heap; it can't be revoked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/pci_regs.h>
#include <linux/udmabuf.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "exporter.h"
#include "labtest.h"

/* Newer than the headers of some distributions this builds on. */
#define FEATURE_DMA_BUF 11

struct vfio_range {
	uint64_t offset;
	uint64_t length;
};

struct vfio_dma_buf {
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
	struct vfio_range range;
};

static int parse_spec(const char *spec, struct exporter *ex)
{
	char kind[8];

	memset(ex, 0, sizeof(*ex));
	ex->fd = ex->group = ex->container = -1;
	if (!strcmp(spec, "udmabuf")) {
		ex->kind = EXPORTER_UDMABUF;
		return 0;
	}
	if (!strcmp(spec, "heap")) {
		ex->kind = EXPORTER_HEAP;
		return 0;
	}
	if (sscanf(spec, "%7[^:]:%12[^/]/%u", kind, ex->bdf, &ex->bar) != 3 ||
	    ex->bar >= P2PDMA_EXPORT_MAX_BARS)
		return -EINVAL;
	if (!strcmp(kind, "export"))
		ex->kind = EXPORTER_EXPORT;
	else if (!strcmp(kind, "vfio"))
		ex->kind = EXPORTER_VFIO;
	else
		return -EINVAL;
	return 0;
}

static int vfio_region(int device, uint32_t index, uint64_t *ret_offset)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = index};
	int err = call(device, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (err >= 0)
		*ret_offset = info.offset;
	return err < 0 ? err : 0;
}

static int vfio_open(struct exporter *ex)
{
	char path[64], target[256];
	ssize_t len;
	int err;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", ex->bdf);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%.16s", strrchr(target, '/') + 1);
	ex->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	ex->group = open(path, O_RDWR | O_CLOEXEC);
	if (ex->container < 0 || ex->group < 0)
		return -errno;
	err = call(ex->group, VFIO_GROUP_SET_CONTAINER, &ex->container);
	if (err >= 0)
		err = call(ex->container, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1_IOMMU);
	if (err >= 0)
		ex->fd = call(ex->group, VFIO_GROUP_GET_DEVICE_FD, ex->bdf);
	if (err < 0 || ex->fd < 0)
		return err < 0 ? err : ex->fd;
	err = vfio_region(ex->fd, VFIO_PCI_BAR0_REGION_INDEX + ex->bar, &ex->bar_offset);
	return err ? err : vfio_region(ex->fd, VFIO_PCI_CONFIG_REGION_INDEX, &ex->config_offset);
}

int exporter_open(const char *spec, struct exporter *ex)
{
	char path[64];
	int err = parse_spec(spec, ex);

	if (err)
		return err;
	switch (ex->kind) {
	case EXPORTER_EXPORT:
		snprintf(path, sizeof(path), "/dev/" P2PDMA_EXPORT_DIR "/%s", ex->bdf);
		ex->fd = open(path, O_RDWR | O_CLOEXEC);
		break;
	case EXPORTER_VFIO:
		err = vfio_open(ex);
		if (err)
			exporter_close(ex);
		return err;
	case EXPORTER_UDMABUF:
		ex->fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
		break;
	case EXPORTER_HEAP:
		ex->fd = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
		break;
	}
	return ex->fd < 0 ? -errno : 0;
}

static void close_once(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void exporter_close(struct exporter *ex)
{
	close_once(&ex->fd);
	close_once(&ex->group);
	close_once(&ex->container);
}

bool exporter_is_peer(const struct exporter *ex)
{
	return ex->kind == EXPORTER_EXPORT || ex->kind == EXPORTER_VFIO;
}

static int slice_export(struct exporter *ex, uint32_t flags, struct slice *slice)
{
	struct p2pdma_export_range range = {slice->offset, slice->length};
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.bar = ex->bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_CLOEXEC | O_RDWR,
	};
	int err = call(ex->fd, P2PDMA_EXPORT_EXPORT, &arg);

	if (err < 0)
		return err;
	slice->fd = arg.fd;
	slice->id = arg.export_id;
	return 0;
}

static int slice_vfio(struct exporter *ex, struct slice *slice)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_dma_buf body;
	} arg = {
		.head = {.argsz = sizeof(arg), .flags = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF},
		.body =
			{
				.region_index = VFIO_PCI_BAR0_REGION_INDEX + ex->bar,
				.open_flags = O_RDWR | O_CLOEXEC,
				.nr_ranges = 1,
				.range = {slice->offset, slice->length},
			},
	};
	int fd = call(ex->fd, VFIO_DEVICE_FEATURE, &arg);

	if (fd < 0)
		return fd;
	slice->fd = fd;
	return 0;
}

static int slice_udmabuf(struct exporter *ex, struct slice *slice)
{
	struct udmabuf_create arg = {.flags = UDMABUF_FLAGS_CLOEXEC, .size = slice->length};
	int memfd = memfd_create("lab", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	int fd;

	if (memfd < 0)
		return -errno;
	if (ftruncate(memfd, (off_t)slice->length) || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		close(memfd);
		return -errno;
	}
	arg.memfd = (uint32_t)memfd;
	fd = call(ex->fd, UDMABUF_CREATE, &arg);
	close(memfd);
	if (fd < 0)
		return fd;
	slice->fd = fd;
	return 0;
}

static int slice_heap(struct exporter *ex, struct slice *slice)
{
	struct dma_heap_allocation_data arg = {
		.len = slice->length,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int err = call(ex->fd, DMA_HEAP_IOCTL_ALLOC, &arg);

	if (err < 0)
		return err;
	slice->fd = (int)arg.fd;
	return 0;
}

int exporter_slice(struct exporter *ex, uint64_t offset, uint64_t length, uint32_t flags,
		   struct slice *slice)
{
	*slice = (struct slice){.fd = -1, .offset = offset, .length = length};
	switch (ex->kind) {
	case EXPORTER_EXPORT:
		return slice_export(ex, flags, slice);
	case EXPORTER_VFIO:
		return slice_vfio(ex, slice);
	case EXPORTER_UDMABUF:
		return slice_udmabuf(ex, slice);
	case EXPORTER_HEAP:
		return slice_heap(ex, slice);
	}
	return -EINVAL;
}

void *exporter_map(struct exporter *ex, const struct slice *slice)
{
	bool is_vfio = ex->kind == EXPORTER_VFIO;
	void *memory = mmap(NULL, slice->length, PROT_READ | PROT_WRITE, MAP_SHARED,
			    is_vfio ? ex->fd : slice->fd,
			    is_vfio ? (off_t)(ex->bar_offset + slice->offset) : 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void exporter_unmap(void *memory, const struct slice *slice)
{
	if (memory)
		munmap(memory, slice->length);
}

static int revoke_ioctl(struct exporter *ex, struct slice *slice, bool is_all)
{
	struct p2pdma_export_revoke arg = {
		.argsz = sizeof(arg),
		.flags = is_all ? P2PDMA_EXPORT_REVOKE_ALL : 0,
		.export_id = is_all ? 0 : slice->id,
	};

	if (ex->kind != EXPORTER_EXPORT)
		return -EOPNOTSUPP;
	return call(ex->fd, P2PDMA_EXPORT_REVOKE, &arg);
}

static int write_attribute(struct exporter *ex, const char *name, const char *text)
{
	char path[96];

	if (!exporter_is_peer(ex))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", ex->bdf, name);
	return write_file(path, text);
}

static int revoke_decode(struct exporter *ex)
{
	uint16_t command;

	if (ex->kind != EXPORTER_VFIO)
		return -EOPNOTSUPP;
	if (pread(ex->fd, &command, 2, (off_t)(ex->config_offset + PCI_COMMAND)) != 2)
		return -EIO;
	command ^= PCI_COMMAND_MEMORY;
	return pwrite(ex->fd, &command, 2, (off_t)(ex->config_offset + PCI_COMMAND)) == 2 ? 0 :
											    -EIO;
}

int exporter_revoke(struct exporter *ex, struct slice *slice, const char *way, int64_t *ret_ns)
{
	int64_t begin = now_ns();
	int err = 0;

	if (!strcmp(way, "ioctl"))
		err = revoke_ioctl(ex, slice, false);
	else if (!strcmp(way, "all"))
		err = revoke_ioctl(ex, slice, true);
	else if (!strcmp(way, "close"))
		exporter_close(ex);
	else if (!strcmp(way, "fd-close"))
		close_once(&slice->fd);
	else if (!strcmp(way, "decode-off") || !strcmp(way, "decode-on"))
		err = revoke_decode(ex);
	else if (!strcmp(way, "reset") && ex->kind == EXPORTER_VFIO)
		err = call(ex->fd, VFIO_DEVICE_RESET, NULL);
	else if (!strcmp(way, "unbind"))
		err = write_attribute(ex, "driver/unbind", ex->bdf);
	else if (!strcmp(way, "remove") || !strcmp(way, "reset"))
		err = write_attribute(ex, way, "1");
	else
		err = -EOPNOTSUPP;
	*ret_ns = now_ns() - begin;
	return err < 0 ? err : 0;
}

int exporter_path(struct exporter *ex, const char *client, uint32_t *ret_map_type,
		  int32_t *ret_distance)
{
	struct p2pdma_export_path arg = {.argsz = sizeof(arg)};
	unsigned int slot, function;
	int err;

	if (ex->kind != EXPORTER_EXPORT)
		return -EOPNOTSUPP;
	if (sscanf(client, "%x:%x:%x.%x", &arg.client_domain, &arg.client_bus, &slot, &function) !=
	    4)
		return -EINVAL;
	arg.client_devfn = slot << 3 | function;
	err = call(ex->fd, P2PDMA_EXPORT_PATH, &arg);
	if (err < 0)
		return err;
	*ret_map_type = arg.map_type;
	*ret_distance = arg.distance;
	return 0;
}

const char *map_type_name(uint32_t map_type)
{
	static const char *const names[] = {
		[P2PDMA_EXPORT_MAP_UNKNOWN] = "UNKNOWN",
		[P2PDMA_EXPORT_MAP_NOT_SUPPORTED] = "NOT_SUPPORTED",
		[P2PDMA_EXPORT_MAP_BUS_ADDR] = "BUS_ADDR",
		[P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE] = "THRU_HOST_BRIDGE",
	};

	return map_type < sizeof(names) / sizeof(names[0]) ? names[map_type] : "?";
}
