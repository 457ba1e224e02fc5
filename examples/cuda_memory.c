// SPDX-License-Identifier: MIT
/*
 * cuda_memory [--pcie] [--allow-system] RDMADEV|- [BYTES]: RDMA into a GPU's memory, by a CUDA
 * pointer.
 *
 *	cuda_memory mlx5_0
 *
 * The pointer is in the middle of an allocation and of a page, as pointers are. It becomes a
 * DMABUF and an offset in it, and from there on a memory region whose iova is the pointer
 * itself. The NIC writes a pattern, CUDA copies it back; the other way round; nothing around
 * it may change. With "-" in place of the NIC it ends after the DMABUF. CUDA's driver library is
 * loaded when it runs, so that this builds without CUDA.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cuda.h"
#include "common/rc_pair.h"
#include "common/story.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)
#define SKEW   70001 /* of the pointer in the allocation */
#define GUARD  0xe5

static struct p2pdma_context *context;
static struct p2pdma_buffer *buffer;
static struct p2pdma_mr *mr;
static struct rc_pair pair;

static int export_pointer(uint64_t pointer, size_t bytes, uint32_t flags, uint64_t *ret_offset)
{
	struct p2pdma_pointer_options options = P2PDMA_POINTER_OPTIONS_INIT;
	double start = story_now_us();
	int r;

	options.backend = P2PDMA_BACKEND_CUDA;
	options.flags = flags;
	r = p2pdma_buffer_new_pointer(context, (const void *)(uintptr_t)pointer, bytes, &options,
				      &buffer, ret_offset);
	if (r)
		return story_fail(context, "exporting the pointer", r);
	story_tell("%s is a DMABUF of %s in %.0f us: %llu bytes, the pointer at %llu",
		   p2pdma_buffer_name(buffer), p2pdma_buffer_exporter(buffer),
		   story_now_us() - start, (unsigned long long)p2pdma_buffer_size_bytes(buffer),
		   (unsigned long long)*ret_offset);
	return 0;
}

/* The NIC's way in and CUDA's way out, then the reverse; @host: room for the allocation. */
static int move(const char *device, uint64_t pointer, uint64_t offset, uint32_t bytes,
		uint8_t *host)
{
	struct rc_remote remote = {.address = pointer};
	size_t all = bytes + (size_t)2 * SKEW;
	long wrong = 0;
	int r;

	r = rc_pair_open(&pair, device, bytes);
	if (r)
		return story_fail(NULL, device, r);
	r = p2pdma_mr_register(pair.pd, buffer, offset, bytes, pointer, ACCESS, &mr);
	if (r)
		return story_fail(context, "registering the memory region", r);
	remote.rkey = p2pdma_mr_rkey(mr);
	story_fill(pair.host, bytes, 1);
	r = rc_pair_transfer(&pair, IBV_WR_RDMA_WRITE, 0, bytes, &remote);
	if (r || cuda.copy_out(host, pointer - SKEW, all))
		return story_fail(NULL, "RDMA write, host -> GPU", r);
	for (size_t i = 0; i < SKEW; i++)
		wrong |= host[i] != GUARD || host[all - 1 - i] != GUARD;
	if (wrong || story_check(host + SKEW, bytes, 1) >= 0)
		return story_fail(NULL, "what CUDA sees", -EILSEQ);
	story_fill(host, bytes, 2);
	if (cuda.copy_in(pointer, host, bytes))
		return story_fail(NULL, "copying to the GPU", -EIO);
	r = rc_pair_transfer(&pair, IBV_WR_RDMA_READ, 0, bytes, &remote);
	if (r || story_check(pair.host, bytes, 2) >= 0)
		return story_fail(NULL, "RDMA read, GPU -> host", r ? r : -EILSEQ);
	story_tell("%s both ways between %s and the GPU, every byte right", story_size(bytes),
		   device);
	return 0;
}

static int tell(const char *device, uint32_t bytes, uint32_t flags)
{
	size_t all = bytes + (size_t)2 * SKEW;
	uint64_t base = 0, offset = 0;
	uint8_t *host = malloc(all);
	int rc = cuda_open();

	if (!rc && (!host || cuda.allocate(&base, all)))
		rc = story_fail(NULL, "allocating", -ENOMEM);
	if (!rc && (!memset(host, GUARD, all) || cuda.copy_in(base, host, all)))
		rc = story_fail(NULL, "copying to the GPU", -EIO);
	if (!rc)
		rc = export_pointer(base + SKEW, bytes, flags, &offset);
	if (!rc && strcmp(device, "-") != 0)
		rc = move(device, base + SKEW, offset, bytes, host);
	if (p2pdma_mr_deregister(mr))
		rc = story_fail(context, "deregistering", -EBUSY);
	p2pdma_buffer_free(buffer);
	rc_pair_close(&pair);
	if (base)
		cuda.free(base);
	free(host);
	return rc;
}

int main(int argc, char **argv)
{
	uint32_t flags = 0;
	long bytes;
	int rc;

	for (; argc > 1 && !strncmp(argv[1], "--", 2); argc--, argv++)
		flags |= strcmp(argv[1], "--pcie") ? P2PDMA_BUFFER_ALLOW_SYSTEM :
						     P2PDMA_BUFFER_PCIE_MAPPING;
	bytes = argc > 2 ? atol(argv[2]) : 1 << 20;
	if (argc < 2 || bytes <= 0 || bytes > 1 << 30) {
		story_tell("usage: cuda_memory [--pcie] [--allow-system] RDMADEV|- [BYTES]");
		return 2;
	}
	rc = p2pdma_context_open(NULL, &context);
	if (rc)
		return story_fail(NULL, "opening libp2pdma", rc);
	rc = tell(argv[1], (uint32_t)bytes, flags);
	p2pdma_context_close(context);
	return rc;
}
