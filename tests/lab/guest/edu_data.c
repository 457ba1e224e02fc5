/* SPDX-License-Identifier: MIT */
/*
 * edu_data [-e ERRNO] [-t] EDU-NODE EXPORTER WAY: the edu device's DMA engine on any
 * exporter's DMABUF.
 *
 * Bytes go to the memory and back and are compared through the CPU's own mapping;
 * then WAY takes the memory back ("none" for system memory) and the engine must
 * be refused. -e: attaching has to fail with that errno. -t: the machine
 * translates bus addresses, too, as QEMU does behind an IOMMU, whose switches route
 * nothing from peer to peer; then the bytes are left out. Prints the DMA address
 * that the kernel gave, as "DMA bus|iova", and the microseconds that WAY took.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../kernel/edu/p2pdma_edu.h"
#include "common/exporter.h"
#include "common/labtest.h"

#define OFFSET 0x400000
#define LENGTH 0x10000
#define BYTES  6000

static struct {
	struct exporter exporter;
	struct slice slice;
	int edu;
	uint8_t *window;
} lab;

static int attach(void)
{
	struct p2pdma_edu_attach arg = {
		.argsz = sizeof(arg),
		.fd = lab.slice.fd,
		.access = P2PDMA_EDU_READ | P2PDMA_EDU_WRITE,
	};

	return call(lab.edu, P2PDMA_EDU_ATTACH, &arg);
}

static int dma(uint32_t access, uint64_t offset, void *user, uint64_t length)
{
	struct p2pdma_edu_dma arg = {
		.argsz = sizeof(arg),
		.access = access,
		.offset = offset,
		.length = length,
		.user = (uintptr_t)user,
	};

	return call(lab.edu, P2PDMA_EDU_DMA, &arg);
}

/* Where the BAR lies on the bus, from the third line on of sysfs' resource file. */
static uint64_t bar_address(void)
{
	char path[64], line[128];
	uint64_t start = 0;
	unsigned int i;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", lab.exporter.bdf);
	file = fopen(path, "r");
	if (!file)
		die(-errno, "%s", path);
	for (i = 0; i <= lab.exporter.bar && fgets(line, sizeof(line), file); i++)
		start = strtoull(line, NULL, 16);
	fclose(file);
	return start;
}

static void tell_address(void)
{
	struct p2pdma_edu_status status = {.argsz = sizeof(status)};

	must(call(lab.edu, P2PDMA_EDU_STATUS, &status), "P2PDMA_EDU_STATUS");
	if (exporter_is_peer(&lab.exporter))
		printf("DMA %s\n", status.dma_addr == bar_address() + OFFSET ? "bus" : "iova");
	tap_ok(status.flags == (P2PDMA_EDU_STATUS_ATTACHED | P2PDMA_EDU_STATUS_MAPPED),
	       "attached_and_mapped", status.flags);
}

static void test_data(void)
{
	static uint8_t sent[BYTES], got[BYTES];
	int ret;

	pattern_fill(sent, 11, BYTES);
	memset(lab.window, 0, LENGTH);
	ret = dma(P2PDMA_EDU_WRITE, 0x1ff0, sent, BYTES);
	tap_ok(ret == 0, "engine_writes", ret);
	tap_ok(pattern_check(lab.window + 0x1ff0, 11, BYTES) < 0, "engine_writes_the_right_bytes",
	       pattern_check(lab.window + 0x1ff0, 11, BYTES));
	tap_ok(lab.window[0x1fef] == 0 && lab.window[0x1ff0 + BYTES] == 0,
	       "engine_writes_nothing_else", lab.window[0x1fef]);
	ret = dma(P2PDMA_EDU_READ, 0x1ff0, got, BYTES);
	tap_ok(ret == 0 && !memcmp(sent, got, BYTES), "engine_reads_them_back", ret);
}

static void test_revoke(const char *way)
{
	uint8_t byte = 0xaa;
	int64_t duration;
	int ret;

	must(exporter_revoke(&lab.exporter, &lab.slice, way, &duration), way);
	printf("LATENCY idle %.1f\n", duration / 1e3);
	ret = dma(P2PDMA_EDU_WRITE, 0, &byte, 1);
	tap_ok(ret == -ENODEV, "engine_after_revoke_enodev", ret);
	if (!strcmp(way, "decode-off"))
		must(exporter_revoke(&lab.exporter, &lab.slice, "decode-on", &duration), way);
	ret = call(lab.edu, P2PDMA_EDU_DETACH, NULL);
	tap_ok(ret == 0, "detach_after_revoke_succeeds", ret);
}

int main(int argc, char **argv)
{
	const char *expected = NULL;
	bool is_translated = false;
	int opt, ret;

	while ((opt = getopt(argc, argv, "e:t")) == 'e' || opt == 't') {
		if (opt == 'e')
			expected = optarg;
		else
			is_translated = true;
	}
	if (opt != -1 || argc - optind != 3) {
		fprintf(stderr, "usage: edu_data [-e ERRNO] [-t] EDU-NODE EXPORTER WAY\n");
		return 2;
	}
	lab.edu = (int)must(open(argv[optind], O_RDWR | O_CLOEXEC), argv[optind]);
	must(exporter_open(argv[optind + 1], &lab.exporter), argv[optind + 1]);
	must(exporter_slice(&lab.exporter, OFFSET, LENGTH, 0, &lab.slice), "slice");
	ret = attach();
	if (expected) {
		tap_ok(!strcmp(error_name(ret), expected), "attach_is_refused", ret);
		return tap_done();
	}
	lab.window = exporter_map(&lab.exporter, &lab.slice);
	must(lab.window ? 0 : -errno, "mapping the slice");
	if (tap_ok(ret == 0, "attach_succeeds", ret)) {
		tell_address();
		if (is_translated)
			tap_skip("engine_moves_bytes", "QEMU translates bus addresses, too");
		else
			test_data();
		/* A mapping of its own would keep a VFIO device open. */
		exporter_unmap(lab.window, &lab.slice);
		if (strcmp(argv[optind + 2], "none"))
			test_revoke(argv[optind + 2]);
	}
	close(lab.slice.fd);
	close(lab.edu);
	exporter_close(&lab.exporter);
	return tap_done();
}
