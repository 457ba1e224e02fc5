// SPDX-License-Identifier: MIT
/*
 * iommufd_peer PROVIDER EDU OTHER: VFIO's edu device and the BAR of another VFIO device.
 *
 * The edu device is driven from here, by its registers and through an I/O address space of an
 * iommufd: a slice of PROVIDER is mapped there by the library, host memory by the kernel's
 * own call. Its DMA engine then carries host memory into the BAR and the BAR to other
 * host memory. The slice is taken back; the engine must reach nothing any more,
 * and after unmapping a new slice is reached again. OTHER is a provider of p2pdma_export, whose
 * DMABUFs iommufd doesn't take.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"

/* iommufd's and VFIO's numbers that Debian 12's headers lack. */
#define IOAS_ALLOC	_IO(';', 0x81)
#define IOAS_MAP	_IO(';', 0x85)
#define IOAS_MAP_FILE	_IO(';', 0x8f)
#define BIND_IOMMUFD	_IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOMMUFD	_IO(VFIO_TYPE, VFIO_BASE + 19)
#define MAP_ALL		7U /* fixed iova, writeable, readable */

/* Of the edu device: registers, and its own buffer as its engine sees it. */
#define EDU_SOURCE	0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_START	1U
#define EDU_FROM	2U /* its buffer to memory, else memory to its buffer */
#define EDU_BUFFER	0x40000ULL
/* Its buffer has 4096 bytes, of which QEMU 7.2 lets 4095 be moved at once. */
#define EDU_STEP	2048U

#define PAGE		4096ULL
#define SLICE		0x4000ULL /* each step takes the engine 100 ms */
#define OFFSET		0x300000ULL
#define HOST_IOVA	0x10000000ULL
#define BAR_IOVA	0x20000000ULL
#define TIMEOUT		10000000000LL /* ns */

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

struct ioas_map {
	uint32_t size, flags, id, reserved;
	uint64_t address, length, iova;
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
static volatile uint8_t *edu; /* its registers */
static uint8_t *host;	      /* two slices long: what is sent, what comes back */

static int open_cdev(const char *bdf)
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

static void enable_bus_master(int fd)
{
	struct vfio_region_info config = {.argsz = sizeof(config),
					  .index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	must(call(fd, VFIO_DEVICE_GET_REGION_INFO, &config), "the configuration space");
	must(pwrite(fd, &command, sizeof(command), (off_t)config.offset + PCI_COMMAND) == 2 ? 0 :
											      -EIO,
	     "turning bus mastering on");
}

static void open_edu(void)
{
	struct vfio_region_info bar = {.argsz = sizeof(bar)};
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
	must(call(fd, VFIO_DEVICE_GET_REGION_INFO, &bar), "the edu device's BAR");
	edu = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)bar.offset);
	must(edu == MAP_FAILED ? -errno : 0, "mapping the edu device's registers");
}

static void map_host(void)
{
	struct ioas_map map = {.size = sizeof(map),
			       .flags = MAP_ALL,
			       .id = ioas,
			       .length = 2 * SLICE,
			       .iova = HOST_IOVA};

	must(posix_memalign((void **)&host, PAGE, 2 * SLICE) ? -ENOMEM : 0, "host memory");
	memset(host, 0, 2 * SLICE);
	map.address = (uintptr_t)host;
	must(call(iommufd, IOAS_MAP, &map), "IOMMU_IOAS_MAP");
}

/* The registers are 64 bits wide, and are written as such. */
static void edu_write(unsigned int at, uint64_t value)
{
	*(volatile uint64_t *)(edu + at) = value;
}

static void edu_step(uint64_t source, uint64_t destination, uint32_t command)
{
	int64_t end = now_ns() + TIMEOUT;

	edu_write(EDU_SOURCE, source);
	edu_write(EDU_DESTINATION, destination);
	edu_write(EDU_COUNT, EDU_STEP);
	edu_write(EDU_COMMAND, command | EDU_START);
	while (*(volatile uint32_t *)(edu + EDU_COMMAND) & EDU_START) {
		if (now_ns() > end)
			die(-ETIMEDOUT, "the edu device's engine");
	}
}

/* By its engine, by way of its own buffer. */
static void carry(uint64_t from, uint64_t to, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += EDU_STEP) {
		edu_step(from + at, EDU_BUFFER, 0);
		edu_step(EDU_BUFFER, to + at, EDU_FROM);
	}
}

static int map_slice(struct p2pdma_buffer *buffer, uint32_t flags, const char *importer,
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

static struct p2pdma_iommufd_mapping *map_for_edu(struct p2pdma_buffer *buffer)
{
	struct p2pdma_iommufd_mapping *mapping = NULL;
	int r = map_slice(buffer, P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE, edu_name, &mapping);

	if (r)
		die(r, "mapping the slice: %s", p2pdma_context_error(context));
	return mapping;
}

static struct p2pdma_buffer *new_buffer_for(struct p2pdma_provider *from, size_t nr_ranges,
					    uint32_t flags)
{
	struct p2pdma_range ranges[] = {{OFFSET, SLICE}, {OFFSET + 4 * SLICE, SLICE}};
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *buffer;

	options.flags = flags;
	must(p2pdma_buffer_new(context, from, ranges, nr_ranges, &options, &buffer), "exporting");
	return buffer;
}

static struct p2pdma_buffer *new_buffer(struct p2pdma_provider *from, size_t nr_ranges)
{
	return new_buffer_for(from, nr_ranges, 0);
}

/* Bytes both ways; the CPU looks into the BAR through VFIO's own mapping. */
static void both_ways(struct p2pdma_buffer *buffer, unsigned int seed, const char *when)
{
	char name[80];
	void *window;

	pattern_fill(host, seed, SLICE);
	memset(host + SLICE, 0, SLICE);
	carry(HOST_IOVA, BAR_IOVA, SLICE);
	must(p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ, &window), "mapping the BAR");
	snprintf(name, sizeof(name), "the_engine_writes_the_other_devices_bar_%s", when);
	tap_ok(pattern_check(window, seed, SLICE) < 0, name, pattern_check(window, seed, SLICE));
	carry(BAR_IOVA, HOST_IOVA + SLICE, SLICE);
	snprintf(name, sizeof(name), "the_engine_reads_the_other_devices_bar_%s", when);
	tap_ok(pattern_check(host + SLICE, seed, SLICE) < 0, name,
	       pattern_check(host + SLICE, seed, SLICE));
}

static bool says(const char *text)
{
	printf("# %s\n", p2pdma_context_error(context));
	return strstr(p2pdma_context_error(context), text);
}

/* Another descriptor, addresses that are taken, and some that the space hasn't. */
static void addresses(struct p2pdma_buffer *buffer)
{
	struct p2pdma_iommufd_attr attr = {
		.size_bytes = sizeof(attr),
		.flags = P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_FIXED_IOVA,
		.iommufd = open("/dev/null", O_RDWR | O_CLOEXEC),
		.ioas_id = ioas,
		.length_bytes = SLICE,
		.iova = BAR_IOVA,
	};
	struct p2pdma_iommufd_mapping *mapping = NULL, *again = NULL;
	int r;

	r = p2pdma_iommufd_map(buffer, &attr, &mapping);
	tap_ok(r == -EOPNOTSUPP && says("is no iommufd (/dev/iommu) but null"),
	       "another_descriptor_is_said_to_be_no_iommufd", r);
	close(attr.iommufd);
	attr.iommufd = iommufd;
	attr.iova = 1ULL << 60;
	r = p2pdma_iommufd_map(buffer, &attr, &mapping);
	tap_ok(r == -EINVAL && says("are outside the addresses of the space"),
	       "an_iova_outside_of_the_space_is_said_so", r);
	attr.iova = BAR_IOVA;
	must(p2pdma_iommufd_map(buffer, &attr, &mapping), "mapping a slice to read");
	r = p2pdma_iommufd_map(buffer, &attr, &again);
	tap_ok(r == -EADDRINUSE && says("is mapped already in"), "an_iova_that_is_taken_is_said_so",
	       r);
	must(p2pdma_iommufd_unmap(mapping), "unmapping");
}

/* What the kernel says of a mapping that the library refuses by itself, and what that is called. */
static void by_hand(struct p2pdma_buffer *buffer, struct ioas_map_file *map, int want,
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

/* Pieces of pages, what is beyond the end, writing to what is read-only. */
static void ranges_and_rights(void)
{
	struct p2pdma_buffer *one = new_buffer(provider, 1);
	struct p2pdma_buffer *read_only = new_buffer_for(provider, 1, P2PDMA_BUFFER_READ_ONLY);
	struct ioas_map_file map = {.size = sizeof(map),
				    .flags = MAP_ALL,
				    .id = ioas,
				    .length = SLICE,
				    .iova = BAR_IOVA};
	struct p2pdma_iommufd_mapping *mapping;
	int r;

	map.length = PAGE / 2;
	by_hand(one, &map, -EINVAL, P2PDMA_CAUSE_RANGE, "half_a_page_is_said_so");
	map.length = SLICE;
	map.start = PAGE;
	by_hand(one, &map, -EINVAL, P2PDMA_CAUSE_RANGE, "beyond_the_end_is_said_so");
	map.start = 0;
	map.iova = BAR_IOVA + PAGE / 2;
	by_hand(one, &map, -EINVAL, P2PDMA_CAUSE_IOVA, "an_iova_in_a_page_is_said_so");
	/* The kernel doesn't look at this one. */
	r = map_slice(read_only, P2PDMA_IOMMUFD_WRITE, NULL, &mapping);
	tap_ok(r == -EACCES && says("read-only"), "writing_is_said_to_be_the_fault", r);
	r = map_slice(read_only, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(!r, "reading_helps", r);
	must(p2pdma_iommufd_unmap(mapping), "unmapping");
	p2pdma_buffer_free(read_only);
	p2pdma_buffer_free(one);
}

static void refusals(struct p2pdma_provider *other)
{
	struct p2pdma_buffer *two = new_buffer(provider, 2), *export = new_buffer(other, 1);
	struct ioas_map_file map = {.size = sizeof(map),
				    .flags = MAP_ALL,
				    .id = ioas,
				    .length = SLICE,
				    .iova = BAR_IOVA};
	struct p2pdma_iommufd_mapping *mapping;
	int r;

	r = map_slice(two, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(r == -EOPNOTSUPP && strstr(p2pdma_context_error(context), "has 2"),
	       "two_ranges_are_refused_with_their_number", r);
	map.fd = p2pdma_buffer_fd(two);
	r = call(iommufd, IOAS_MAP_FILE, &map);
	tap_ok(r == -EOPNOTSUPP, "and_so_they_are_by_the_kernel", r);
	r = map_slice(export, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(r == -EOPNOTSUPP && strstr(p2pdma_context_error(context), "vfio-pci"),
	       "a_dmabuf_of_p2pdma_export_is_refused_with_advice", r);
	map.fd = p2pdma_buffer_fd(export);
	r = call(iommufd, IOAS_MAP_FILE, &map);
	tap_ok(r == -EOPNOTSUPP, "and_so_it_is_by_the_kernel", r);
	ioas += 1000;
	p2pdma_buffer_free(two);
	two = new_buffer(provider, 1);
	r = map_slice(two, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(r == -ENOENT && says("has no address space"), "no_such_address_space_enoent", r);
	ioas -= 1000;
	addresses(two);
	p2pdma_buffer_free(two);
	p2pdma_buffer_free(export);
}

/* The BAR holds a pattern of @seed: none of it comes out any more, and nothing gets in. */
static void take_back(struct p2pdma_buffer *buffer, struct p2pdma_iommufd_mapping *mapping,
		      unsigned int seed)
{
	struct ioas_map_file map = {.size = sizeof(map),
				    .flags = MAP_ALL,
				    .id = ioas,
				    .length = SLICE,
				    .iova = BAR_IOVA + SLICE};
	struct p2pdma_iommufd_mapping *again;
	void *window;
	int r;

	must(p2pdma_buffer_revoke(buffer, P2PDMA_REVOKE_FUNCTION, 100, NULL), "revoking");
	memset(host, 0x5a, PAGE);
	memset(host + SLICE, 0, PAGE);
	carry(HOST_IOVA, BAR_IOVA, PAGE);
	carry(BAR_IOVA, HOST_IOVA + SLICE, PAGE);
	tap_ok(pattern_check(host + SLICE, seed, PAGE) >= 0,
	       "the_engine_reads_nothing_after_a_revoke", 0);
	r = map_slice(buffer, P2PDMA_IOMMUFD_READ, NULL, &again);
	tap_ok(r == -ESTALE, "a_revoked_buffer_is_refused", r);
	by_hand(buffer, &map, -ENODEV, P2PDMA_CAUSE_ENDED, "so_it_is_by_the_kernel");
	r = p2pdma_iommufd_unmap(mapping);
	tap_ok(!r, "a_revoked_mapping_is_unmapped", r);
	p2pdma_buffer_free(buffer);
	buffer = new_buffer(provider, 1);
	must(p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ, &window), "mapping the BAR");
	tap_ok(pattern_check(window, seed, SLICE) < 0, "the_engine_wrote_nothing_after_a_revoke",
	       pattern_check(window, seed, SLICE));
	p2pdma_buffer_free(buffer);
}

int main(int argc, char **argv)
{
	struct p2pdma_iommufd_mapping *mapping;
	struct p2pdma_provider *other;
	struct p2pdma_buffer *buffer;

	if (argc < 4)
		die(0, "usage: iommufd_peer PROVIDER EDU OTHER");
	edu_name = argv[2];
	must(p2pdma_context_open(NULL, &context), "opening the library");
	must(p2pdma_provider_find(context, argv[1], &provider), argv[1]);
	must(p2pdma_provider_find(context, argv[3], &other), argv[3]);
	open_edu();
	map_host();
	refusals(other);
	ranges_and_rights();
	buffer = new_buffer(provider, 1);
	mapping = map_for_edu(buffer);
	tap_ok(p2pdma_iommufd_iova(mapping) == BAR_IOVA, "the_slice_is_where_it_was_wanted", 0);
	both_ways(buffer, 1, "at_first");
	take_back(buffer, mapping, 1);
	buffer = new_buffer(provider, 1);
	mapping = map_for_edu(buffer);
	both_ways(buffer, 2, "again");
	must(p2pdma_iommufd_unmap(mapping), "unmapping");
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(other);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	return tap_done();
}
