/* SPDX-License-Identifier: MIT */
/*
 * vfio_ranges EDU-NODE BDF BAR: two ranges of a VFIO device's BAR as one DMABUF, which
 * the edu device's DMA engine reaches through the IOMMU.
 *
 * The ranges lie in the buffer in another order than in the BAR, and what the engine
 * moves crosses from one into the other, so that a wrong offset shows. A kernel that links every range
 * at the same IOVA refuses to map the second one (EADDRINUSE); the fix is in our series,
 * and in the lab's debug kernel.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exporter.h"
#include "edu_common.h"

#define FEATURE_DMA_BUF 11
#define PIECE		0x10000ULL
#define HIGH		0x800000ULL
#define LOW		0x200000ULL
#define BYTES		4000
#define BEFORE		2000 /* of them lie in the first range */

struct two_ranges {
	struct vfio_device_feature head;
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
	struct {
		uint64_t offset;
		uint64_t length;
	} ranges[2];
};

static int export_two(const struct exporter *exporter)
{
	struct two_ranges arg = {
		.head = {.argsz = sizeof(arg), .flags = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF},
		.region_index = VFIO_PCI_BAR0_REGION_INDEX + exporter->bar,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = 2,
		.ranges = {{HIGH, PIECE}, {LOW, PIECE}},
	};

	return call(exporter->fd, VFIO_DEVICE_FEATURE, &arg);
}

static uint8_t *map_piece(struct exporter *exporter, uint64_t offset)
{
	struct slice slice = {.fd = -1, .offset = offset, .length = PIECE};
	uint8_t *memory = exporter_map(exporter, &slice);

	must(memory ? 0 : -errno, "mapping a piece of the BAR");
	memset(memory, 0, PIECE);
	return memory;
}

static void test_data(int edu, struct exporter *exporter)
{
	uint8_t sent[BYTES], got[BYTES];
	uint8_t *high = map_piece(exporter, HIGH), *low = map_piece(exporter, LOW);
	int ret;

	pattern_fill(sent, 3, BYTES);
	ret = edu_dma(edu, P2PDMA_EDU_WRITE, PIECE - BEFORE, sent, BYTES);
	tap_ok(ret == 0, "engine_writes_over_the_border", ret);
	tap_ok(!memcmp(high + PIECE - BEFORE, sent, BEFORE), "first_range_has_its_bytes", 0);
	tap_ok(!memcmp(low, sent + BEFORE, BYTES - BEFORE), "second_range_has_its_bytes", 0);
	tap_ok(!high[PIECE - BEFORE - 1] && !low[BYTES - BEFORE], "no_other_byte_changed", 0);
	memset(got, 0, sizeof(got));
	ret = edu_dma(edu, P2PDMA_EDU_READ, PIECE - BEFORE, got, BYTES);
	tap_ok(ret == 0 && !memcmp(sent, got, BYTES), "engine_reads_them_back", ret);
}

int main(int argc, char **argv)
{
	struct exporter exporter;
	char spec[64];
	int edu, fd, ret;

	if (argc != 4) {
		fprintf(stderr, "usage: vfio_ranges EDU-NODE BDF BAR\n");
		return 2;
	}
	edu = open_node(argv[1]);
	snprintf(spec, sizeof(spec), "vfio:%.20s/%.2s", argv[2], argv[3]);
	must(exporter_open(spec, &exporter), spec);
	fd = (int)must(export_two(&exporter), "exporting two ranges");
	ret = edu_attach(edu, fd, P2PDMA_EDU_READ | P2PDMA_EDU_WRITE, 0);
	if (ret == -EADDRINUSE)
		tap_skip("two_ranges_map", "this kernel links every range at the same IOVA");
	else if (tap_ok(ret == 0, "two_ranges_map", ret))
		test_data(edu, &exporter);
	close(fd);
	close(edu);
	exporter_close(&exporter);
	return tap_done();
}
