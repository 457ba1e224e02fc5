// SPDX-License-Identifier: MIT
/*
 * iommufd_peer PROVIDER EDU: VFIO's edu device and the BAR of another VFIO device.
 *
 * The edu device is driven from here, by its registers and through an I/O address space of an
 * iommufd: a slice of PROVIDER is mapped there by the library, host memory by the kernel's
 * own call. Its DMA engine then carries host memory into the BAR and the BAR to other
 * host memory. The slice is taken back; the engine must reach nothing any more,
 * and after unmapping a new slice is reached again.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "library/iommufd.h"

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

#define IOAS_MAP	_IO(';', 0x85)
#define HOST_IOVA	0x10000000ULL
#define TIMEOUT		10000000000LL /* ns */

struct ioas_map {
	uint32_t size, flags, id, reserved;
	uint64_t address, length, iova;
};

static volatile uint8_t *edu; /* its registers */
static uint8_t *host;	      /* two slices long: what is sent, what comes back */

static void map_registers(int fd)
{
	struct vfio_region_info bar = {.argsz = sizeof(bar)};

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

static struct p2pdma_iommufd_mapping *map_for_edu(struct p2pdma_buffer *buffer)
{
	struct p2pdma_iommufd_mapping *mapping = NULL;
	int r = map_slice(buffer, P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE, edu_name, &mapping);

	if (r)
		die(r, "mapping the slice: %s", p2pdma_context_error(context));
	return mapping;
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

/* The BAR holds a pattern of @seed: none of it comes out any more, and nothing gets in. */
static void take_back(struct p2pdma_buffer *buffer, struct p2pdma_iommufd_mapping *mapping,
		      unsigned int seed)
{
	struct ioas_map_file map = map_of_slice();
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
	map.iova += SLICE;
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
	struct p2pdma_buffer *buffer;

	if (argc < 3)
		die(0, "usage: iommufd_peer PROVIDER EDU");
	open_all(argv[1], argv[2]);
	map_registers(open_edu());
	map_host();
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
	close_all();
	return tap_done();
}
