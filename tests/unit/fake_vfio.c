// SPDX-License-Identifier: MIT
/*
 * VFIO as the fake kernel plays it: group, container, cdev, iommufd, one device
 * with a configuration space and a BAR.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>

#include "fake_vfio.h"
#include "iommufd/abi.h"
#include "common/vfio_abi.h"

static int open_as(enum fake_kind kind)
{
	return fake_add_fd(eventfd(0, EFD_CLOEXEC), kind);
}

int fake_vfio_open(const char *path)
{
	if (!strcmp(path, "iommu"))
		return open_as(FAKE_IOMMUFD);
	if (!strcmp(path, "vfio/vfio"))
		return open_as(FAKE_CONTAINER);
	if (!strncmp(path, "vfio/devices/", 13))
		return open_as(FAKE_CDEV);
	return open_as(FAKE_GROUP);
}

static int feature(const struct vfio_device_feature *header)
{
	const struct vfio_abi_dma_buf *dma_buf = (const void *)header;
	const struct vfio_abi_dma_range *ranges = (const void *)(dma_buf + 1);
	uint64_t size = 0;

	if ((header->flags & VFIO_DEVICE_FEATURE_MASK) != VFIO_ABI_FEATURE_DMA_BUF ||
	    !fake.has_dma_buf)
		return -ENOTTY;
	if (header->flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	assert_int_equal(header->argsz, sizeof(*dma_buf) + dma_buf->nr_ranges * sizeof(*ranges));
	for (uint32_t i = 0; i < dma_buf->nr_ranges; i++)
		size += ranges[i].length;
	return fake_make_dmabuf(size);
}

static int set_irqs(const struct vfio_irq_set *set)
{
	int32_t fd;

	memcpy(&fd, set->data, sizeof(fd));
	if (set->index == VFIO_PCI_REQ_IRQ_INDEX)
		fake.req_fd = fd;
	else
		fake.err_fd = fd;
	return 0;
}

static int region_info(struct vfio_region_info *info)
{
	info->offset =
		info->index == VFIO_PCI_CONFIG_REGION_INDEX ? FAKE_CONFIG_OFFSET : FAKE_BAR_OFFSET;
	return 0;
}

static int device_ioctl(unsigned long request, void *argument)
{
	switch (request) {
	case VFIO_DEVICE_FEATURE:
		return feature(argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(argument);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(argument);
	default:
		return -ENOTTY;
	}
}

static int group_ioctl(unsigned long request, void *argument)
{
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)argument)->flags =
			fake.is_viable ? VFIO_GROUP_FLAGS_VIABLE : 0;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		return open_as(FAKE_VFIO);
	default:
		return -ENOTTY;
	}
}

/* One address space, number 7, whose mappings the fixture counts. */
static int iommufd_ioctl(unsigned long request, void *argument)
{
	struct iommufd_abi_ioas_map_file *map = argument;
	const struct iommufd_abi_ioas_unmap *unmap = argument;
	struct iommufd_abi_ioas_iova_ranges *ranges = argument;

	switch (request) {
	case IOMMUFD_ABI_IOAS_IOVA_RANGES:
		assert_int_equal(ranges->size, sizeof(*ranges));
		if (ranges->ioas_id != FAKE_IOAS)
			return -ENOENT;
		*(struct iommufd_abi_iova_range *)(uintptr_t)ranges->allowed_iovas =
			(struct iommufd_abi_iova_range){0, FAKE_IOVA_LAST};
		ranges->num_iovas = 1;
		return 0;
	case IOMMUFD_ABI_IOAS_MAP_FILE:
		assert_int_equal(map->size, sizeof(*map));
		assert_int_equal(fake.kinds[map->fd], FAKE_DMABUF);
		if (map->ioas_id != FAKE_IOAS)
			return -ENOENT;
		if (!(map->flags & IOMMUFD_ABI_MAP_FIXED_IOVA))
			map->iova = FAKE_IOVA;
		fake.last_map = *map;
		fake.nr_iommu_mappings++;
		return 0;
	case IOMMUFD_ABI_IOAS_UNMAP:
		assert_int_equal(unmap->size, sizeof(*unmap));
		if (unmap->ioas_id != FAKE_IOAS || unmap->iova != fake.last_map.iova ||
		    unmap->length != fake.last_map.length || !fake.nr_iommu_mappings)
			return -ENOENT;
		fake.nr_iommu_mappings--;
		return 0;
	default:
		return -ENOTTY;
	}
}

int fake_vfio_ioctl(int fd, unsigned long request, void *argument)
{
	switch (fake.kinds[fd]) {
	case FAKE_GROUP:
		return group_ioctl(request, argument);
	case FAKE_IOMMUFD:
		return iommufd_ioctl(request, argument);
	case FAKE_CONTAINER:
		if (request == VFIO_GET_API_VERSION)
			return VFIO_API_VERSION;
		if (request == VFIO_CHECK_EXTENSION)
			return 1;
		return request == VFIO_SET_IOMMU ? 0 : -ENOTTY;
	case FAKE_CDEV:
		if (request != VFIO_ABI_BIND_IOMMUFD)
			return device_ioctl(request, argument);
		assert_int_equal(fake.kinds[((struct vfio_abi_bind_iommufd *)argument)->iommufd],
				 FAKE_IOMMUFD);
		return 0;
	case FAKE_VFIO:
		return device_ioctl(request, argument);
	default:
		return -ENOTTY;
	}
}

bool fake_vfio_is_device(int fd)
{
	return fake.kinds[fd] == FAKE_VFIO || fake.kinds[fd] == FAKE_CDEV;
}

bool fake_vfio_is_decoding(void)
{
	return fake.config[PCI_COMMAND] & PCI_COMMAND_MEMORY;
}

ssize_t fake_vfio_pread(int fd, void *data, size_t size, uint64_t offset)
{
	assert_true(fake_vfio_is_device(fd));
	memcpy(data, fake.config + (offset - FAKE_CONFIG_OFFSET), size);
	return (ssize_t)size;
}

ssize_t fake_vfio_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
	assert_true(fake_vfio_is_device(fd));
	if (fake.is_decode_stuck)
		return -EIO;
	memcpy(fake.config + (offset - FAKE_CONFIG_OFFSET), data, size);
	return (ssize_t)size;
}
