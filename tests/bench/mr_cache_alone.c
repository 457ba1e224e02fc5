// SPDX-License-Identifier: MIT
/*
 * A stand-in for the devices: this program's own ibv_reg_dmabuf_mr(), ibv_dereg_mr() and
 * fstatfs() take the place of the libraries' when libp2pdma.so is loaded, so that what is measured
 * is libp2pdma.so as it is shipped, and nothing below it. A memfd stands for the DMABUF.
 */
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mr_cache.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

#define TAKES_PLACE __attribute__((visibility("default")))

TAKES_PLACE struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length,
					     uint64_t iova, int fd, int access)
{
	struct ibv_mr *mr = calloc(1, sizeof(*mr));

	(void)offset;
	(void)iova;
	(void)fd;
	(void)access;
	if (!mr)
		return NULL;
	mr->pd = pd;
	mr->length = length;
	return mr;
}

TAKES_PLACE int ibv_dereg_mr(struct ibv_mr *mr)
{
	free(mr);
	return 0;
}

TAKES_PLACE int fstatfs(int fd, struct statfs *status)
{
	(void)fd;
	*status = (struct statfs){.f_type = DMA_BUF_MAGIC};
	return 0;
}

void cache_setup_open(struct cache_setup *setup, struct bench_options *options, int argc,
		      char **argv)
{
	struct p2pdma_context_options direct = P2PDMA_CONTEXT_OPTIONS_INIT;
	static struct ibv_context verbs;
	static struct ibv_pd pd = {.context = &verbs};
	int fd = memfd_create("dmabuf", MFD_CLOEXEC);

	bench_parse(options, argc, argv, 0);
	direct.flags = P2PDMA_CONTEXT_DIRECT | P2PDMA_CONTEXT_NO_HOTPLUG;
	bench_must(NULL, "opening libp2pdma", p2pdma_context_open(&direct, &setup->bench.context));
	bench_must(&setup->bench, "making a stand-in for a DMABUF",
		   fd < 0 || ftruncate(fd, CACHE_BYTES) ? -1 : 0);
	bench_must(&setup->bench, "adopting it",
		   p2pdma_buffer_adopt(setup->bench.context, fd, NULL, &setup->buffer));
	close(fd);
	setup->pd = &pd;
}

void cache_setup_close(struct cache_setup *setup)
{
	p2pdma_buffer_free(setup->buffer);
	p2pdma_context_close(setup->bench.context);
}
