// SPDX-License-Identifier: MIT
/*
 * ucx_put PROVIDER RDMADEV [BYTES]: a BAR as memory that UCX's peers write, read and count in.
 *
 *	ucx_put 0000:01:00.0/2 rxe0
 *
 * UCX's upper layer (UCP) takes addresses only. Its lower one, UCT, registers a DMABUF by
 * uct_md_mem_reg_v2(), where the NIC has remote atomics on DMABUFs: UCX asks for them each time.
 * After a revocation transfers complete with an error.
 */
#include <stdlib.h>
#include <string.h>

#include <uct/api/version.h>

#include "common/story.h"
#include "common/ucx_dmabuf.h"
#include "common/ucx_pair.h"

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct ucx_pair pair;
static struct ucx_memory bar;
static void *window;

static int fail(const char *what, ucs_status_t status)
{
	return story_tell("FAILED: %s: %s", what, ucs_status_string(status)), 1;
}

/* The call that this is about. @window is what work requests call the region's first byte. */
static ucs_status_t register_bar(void)
{
	struct ucx_mem_reg_params params = {
		.field_mask = UCX_MEM_REG_FLAGS | UCX_MEM_REG_DMABUF_FD | UCX_MEM_REG_DMABUF_OFFSET,
		.flags = UCT_MD_MEM_ACCESS_ALL,
		.dmabuf_fd = p2pdma_buffer_fd(buffer),
	};

	bar.address = window;
	return uct_md_mem_reg_v2(pair.md, window, p2pdma_buffer_size_bytes(buffer), &params,
				 &bar.handle);
}

static int export_bar(const char *name, uint64_t bytes)
{
	struct p2pdma_range range = {.offset_bytes = 0, .length_bytes = bytes};
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	if (!r)
		r = p2pdma_buffer_map(buffer, 0, bytes, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE,
				      &window);
	return r ? story_fail(context, "exporting the BAR", r) : 0;
}

static int prepare(const char *device, uint64_t bytes)
{
	ucs_status_t status = ucx_pair_open(&pair, device, 2 * bytes);

	if (status != UCS_OK)
		return fail("opening UCX's rc_verbs", status);
	story_tell("UCX %s: rc_verbs on %s", UCT_VERNO_STRING, device);
	status = register_bar();
	if (status != UCS_OK)
		return fail("uct_md_mem_reg_v2() of the DMABUF", status);
	story_tell("registered DMABUF %d, %s, by uct_md_mem_reg_v2()", p2pdma_buffer_fd(buffer),
		   story_size(bytes));
	status = ucx_pair_share(&pair, &bar);
	return status == UCS_OK ? 0 : fail("the BAR's remote key", status);
}

static int move(size_t bytes)
{
	uint8_t *back = pair.host + bytes;
	double start = story_now_us();
	ucs_status_t status;

	story_fill(pair.host, bytes, 7);
	memset(back, 0, bytes);
	status = ucx_pair_put(&pair, pair.host, bytes, &bar);
	if (status != UCS_OK)
		return fail("uct_ep_put_zcopy()", status);
	story_tell("put, host -> BAR: %s in %.0f us", story_size(bytes), story_now_us() - start);
	start = story_now_us();
	status = ucx_pair_get(&pair, back, bytes, &bar);
	if (status != UCS_OK)
		return fail("uct_ep_get_zcopy()", status);
	story_tell("get, BAR -> host: %s in %.0f us", story_size(bytes), story_now_us() - start);
	return story_compare("seen by the CPU in the BAR", window, bytes, 7) ||
	       story_compare("read back by UCX", back, bytes, 7);
}

static int count(void)
{
	volatile uint64_t *word = window;
	uint64_t before = 0, old = *word;
	ucs_status_t status;

	status = ucx_pair_add(&pair, &bar, 1000, &before);
	if (status != UCS_OK || before != old || *word != old + 1000)
		return fail("uct_ep_atomic64_fetch()", status);
	return story_tell("added 1000 to eight bytes of the BAR, atomically"), 0;
}

static int revoke(size_t bytes)
{
	ucs_status_t status;
	int r;

	r = p2pdma_buffer_revoke(buffer, 0, 100, NULL);
	if (r)
		return story_fail(context, "revoking", r);
	status = ucx_pair_put(&pair, pair.host, bytes, &bar);
	story_tell("after the revocation: %s",
		   status == UCS_OK ? "FAILED: it still works" : ucs_status_string(status));
	return status == UCS_OK;
}

int main(int argc, char **argv)
{
	long bytes = argc > 3 ? atol(argv[3]) : 1 << 20;
	int rc;

	if (argc < 3 || bytes < 8 || bytes > 1 << 30)
		return story_tell("usage: ucx_put PROVIDER RDMADEV [BYTES]"), 2;
	rc = export_bar(argv[1], (uint64_t)bytes) || prepare(argv[2], (uint64_t)bytes) ||
	     move((size_t)bytes) || count() || revoke((size_t)bytes);
	ucx_pair_forget(&pair, &bar);
	ucx_pair_close(&pair);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: UCX moved bytes into a PCI device and out of it");
	return rc;
}
