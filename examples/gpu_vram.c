// SPDX-License-Identifier: MIT
/*
 * gpu_vram PROVIDER|NODE RDMADEV [BYTES [system]]: RDMA into a GPU's memory and back.
 *
 *	gpu_vram 0000:43:00.0/vram mlx5_0
 *	gpu_vram /dev/dri/card0 rxe0 1048576 system
 *
 * The GPU's driver allocates and exports an object; the NIC writes into it and reads it back. When
 * the driver puts it into system memory, at once or when the NIC attaches, that is an error,
 * unless "system" allows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct p2pdma_mr *mr;
static struct rc_pair pair;

/* A GPU that is a provider: the library opens its render node. */
static int allocate_provider(const char *name, uint64_t bytes,
			     const struct p2pdma_buffer_options *options)
{
	struct p2pdma_range amount = {.offset_bytes = 0, .length_bytes = bytes};

	if (story_open(name, &context, &provider))
		return 1;
	if (p2pdma_provider_kind(provider) != P2PDMA_PROVIDER_KIND_VRAM) {
		story_tell("%s is no GPU's memory: its name ends in /vram", name);
		return 1;
	}
	return p2pdma_buffer_new(context, provider, &amount, 1, options, &buffer);
}

/* Any DRM device, by a node of it. */
static int allocate_node(const char *path, uint64_t bytes,
			 const struct p2pdma_buffer_options *options)
{
	int r = p2pdma_context_open(NULL, &context);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (r || fd < 0) {
		if (fd >= 0)
			close(fd);
		return story_fail(NULL, path, r ? r : -ENOENT);
	}
	r = p2pdma_buffer_new_drm(context, fd, bytes, options, &buffer);
	close(fd);
	return r;
}

static const char *place(void)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;

	p2pdma_buffer_query(buffer, &status);
	if (!(status.flags & P2PDMA_STATUS_PLACED))
		return "its place isn't told";
	return status.flags & P2PDMA_STATUS_SYSTEM ? "in system memory" : "in the GPU's memory";
}

static int prepare(const char *name, const char *device, uint64_t bytes, uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	int r;

	options.flags = flags;
	r = *name == '/' ? allocate_node(name, bytes, &options) :
			   allocate_provider(name, bytes, &options);
	if (r)
		return r > 0 ? r : story_fail(context, "allocating", r);
	story_tell("allocated %s as %s, %s", story_size(bytes), p2pdma_buffer_name(buffer),
		   place());
	r = rc_pair_open(&pair, device, 2 * bytes);
	if (r)
		return story_fail(NULL, device, r);
	/* Here a driver moves what the NIC can't reach; the library looks, and fails. */
	r = p2pdma_mr_register(pair.pd, buffer, 0, bytes, 0, ACCESS, &mr);
	if (r)
		return story_fail(context, "registering", r);
	story_tell("registered it with %s, %s", device, place());
	return 0;
}

static int move(uint32_t bytes)
{
	struct rc_remote remote = {.address = 0, .rkey = p2pdma_mr_rkey(mr)};
	double start = story_now_us(), us;
	long wrong;
	int r;

	story_fill(pair.host, bytes, 1);
	r = rc_pair_transfer(&pair, IBV_WR_RDMA_WRITE, 0, bytes, &remote);
	if (!r)
		r = rc_pair_transfer(&pair, IBV_WR_RDMA_READ, bytes, bytes, &remote);
	if (r)
		return story_fail(NULL, "RDMA", r);
	us = story_now_us() - start;
	wrong = story_check(pair.host + bytes, bytes, 1);
	if (wrong >= 0) {
		story_tell("FAILED: byte %ld is wrong", wrong);
		return 1;
	}
	story_tell("wrote and read it in %.0f us: all %" PRIu32 " bytes are right", us, bytes);
	return 0;
}

int main(int argc, char **argv)
{
	long bytes = argc > 3 ? atol(argv[3]) : 1 << 20;
	uint32_t flags = 0;
	int rc;

	if (argc > 4 && !strcmp(argv[4], "system"))
		flags |= P2PDMA_BUFFER_ALLOW_SYSTEM;
	if (argc < 3 || bytes <= 0 || bytes > 1 << 30) {
		story_tell("usage: gpu_vram PROVIDER|NODE RDMADEV [BYTES [system]]");
		return 2;
	}
	rc = prepare(argv[1], argv[2], (uint64_t)bytes, flags) || move((uint32_t)bytes);
	if (p2pdma_mr_deregister(mr))
		rc = story_fail(context, "deregistering", -EBUSY);
	p2pdma_buffer_free(buffer);
	rc_pair_close(&pair);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	return rc;
}
