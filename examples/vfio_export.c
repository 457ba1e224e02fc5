// SPDX-License-Identifier: MIT
/*
 * vfio_export PROVIDER RDMADEV: the same with a function that VFIO holds.
 *
 *	vfio_export 0000:01:00.0/2 rxe0
 *
 * For a device that a user-space driver owns through vfio-pci. VFIO can only
 * take back a function as a whole, so a revocation with two buffers alive has
 * to say that it means both.
 */
#include <errno.h>
#include <string.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define SLICE  (128U << 10)
#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffers[2];
static struct p2pdma_mr *mr;
static struct rc_pair pair;

static int export_slice(unsigned int i)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {(uint64_t)(4 * i) * SLICE, SLICE};
	int r;

	options.backend = P2PDMA_BACKEND_VFIO;
	r = p2pdma_buffer_new(context, provider, &range, 1, &options, &buffers[i]);
	if (r)
		return story_fail(context, "exporting through VFIO", r);
	story_tell("exported %s of %s as DMABUF %d", story_size(SLICE),
		   p2pdma_provider_name(provider), p2pdma_buffer_fd(buffers[i]));
	return 0;
}

static int register_it(const char *device)
{
	int r;

	r = p2pdma_mr_register(pair.pd, buffers[0], 0, SLICE, 0, ACCESS, &mr);
	if (r)
		return story_fail(context, "registering", r);
	story_tell("registered with %s, rkey 0x%x", device, p2pdma_mr_rkey(mr));
	return 0;
}

static int write_and_read(void)
{
	struct rc_remote remote = {p2pdma_mr_iova(mr), p2pdma_mr_rkey(mr)};
	void *window;
	int r;

	story_fill(pair.host, SLICE, 3);
	memset(pair.host + SLICE, 0, SLICE);
	r = rc_pair_transfer(&pair, IBV_WR_RDMA_WRITE, 0, SLICE, &remote);
	if (!r)
		r = rc_pair_transfer(&pair, IBV_WR_RDMA_READ, SLICE, SLICE, &remote);
	if (r)
		return story_fail(NULL, "RDMA", r);
	if (story_check(pair.host + SLICE, SLICE, 3) >= 0)
		return story_fail(NULL, "comparing what RDMA read", -EIO);
	r = p2pdma_buffer_map(buffers[0], 0, SLICE, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE, &window);
	if (r)
		return story_fail(context, "mapping the BAR through VFIO", r);
	if (story_check(window, SLICE, 3) >= 0)
		return story_fail(NULL, "comparing what the CPU sees", -EIO);
	story_tell("RDMA wrote and read %s; the CPU sees the same in the BAR", story_size(SLICE));
	return 0;
}

static int revoke_all(void)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	int r;

	r = p2pdma_buffer_revoke(buffers[0], 0, 1000, NULL);
	if (r != -EOPNOTSUPP)
		return story_fail(context, "revoking one of two alone was not refused", r);
	story_tell("one alone: %s", p2pdma_context_error(context));
	r = p2pdma_buffer_revoke(buffers[0], P2PDMA_REVOKE_FUNCTION, 1000, &result);
	if (r)
		return story_fail(context, "revoking the function", r);
	story_tell("revoked %u buffers in %.0f us", result.nr_buffers,
		   (double)result.duration_ns / 1e3);
	if (p2pdma_mr_enter(mr) != -ESTALE)
		return story_fail(NULL, "the memory region doesn't know", -EIO);
	return 0;
}

static int again(const char *device)
{
	int r;

	/* The old ones are dead for good; the function can be exported anew. */
	r = p2pdma_mr_deregister(mr);
	mr = NULL;
	if (r)
		return story_fail(context, "deregistering after the revocation", r);
	p2pdma_buffer_free(buffers[0]);
	buffers[0] = NULL;
	return export_slice(0) || register_it(device) || write_and_read();
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 3)
		return story_tell("usage: vfio_export PROVIDER RDMADEV"), 2;
	rc = story_open(argv[1], &context, &provider);
	if (!rc && rc_pair_open(&pair, argv[2], 2 * SLICE))
		rc = story_fail(NULL, argv[2], -errno);
	if (!rc)
		rc = export_slice(0) || export_slice(1) || register_it(argv[2]) ||
		     write_and_read() || revoke_all() || again(argv[2]);
	rc |= !!p2pdma_mr_deregister(mr);
	for (int i = 0; i < 2; i++)
		p2pdma_buffer_free(buffers[i]);
	rc_pair_close(&pair);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: VFIO's memory over RDMA, and back in VFIO's hands");
	return rc;
}
