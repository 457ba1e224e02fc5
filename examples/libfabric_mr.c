// SPDX-License-Identifier: MIT
/*
 * libfabric_mr PROVIDER ADDRESS [BYTES]: a BAR as a memory region of libfabric.
 *
 *	libfabric_mr 0000:01:00.0/2 192.0.2.1
 *
 * ADDRESS is an IP address of the RDMA device. All that libfabric 1.20 or later needs is the
 * DMABUF's descriptor: fi_mr_regattr() with FI_MR_DMABUF. Then a peer's fi_write() puts bytes
 * into the BAR; its own fi_read() takes host memory there, fi_write() takes the BAR to other host
 * memory. libfabric caches no such region; after a revocation transfers complete with an error.
 */
#include <stdlib.h>
#include <string.h>

#include <rdma/fi_errno.h>

#include "common/fabric_pair.h"
#include "common/story.h"

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct fabric_pair pair;
static struct fid_mr *mr;
static void *window;
static bool is_remote; /* a peer may write there */

static int fail(const char *what, int error)
{
	return story_tell("FAILED: %s: %s", what, fi_strerror(-error)), 1;
}

/* The call that this is about. @window is what work requests call the region's first byte. */
static int register_for(uint64_t access)
{
	struct fi_mr_dmabuf dmabuf = {
		.fd = p2pdma_buffer_fd(buffer),
		.len = p2pdma_buffer_size_bytes(buffer),
		.base_addr = window,
	};
	struct fi_mr_attr attr = {.dmabuf = &dmabuf, .iov_count = 1, .access = access};

	return fi_mr_regattr(pair.domain, &attr, FI_MR_DMABUF, &mr);
}

/*
 * For a peer's RMA the region needs FI_REMOTE_WRITE, by which libfabric also asks the NIC
 * for remote atomics. Not every NIC has them on a DMABUF.
 */
static int register_bar(void)
{
	int r;

	r = register_for(FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE);
	is_remote = !r;
	if (r)
		story_tell("for a peer's reads and writes: %s", fi_strerror(-r));
	return r ? register_for(FI_READ | FI_WRITE) : 0;
}

static int prepare(const char *name, const char *address, uint64_t bytes)
{
	struct p2pdma_range range = {.offset_bytes = 0, .length_bytes = bytes};
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	if (!r)
		r = p2pdma_buffer_map(buffer, 0, bytes, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE,
				      &window);
	if (r)
		return story_fail(context, "exporting the BAR", r);
	r = fabric_pair_open(&pair, address, 2 * bytes);
	if (r)
		return fail("opening verbs;ofi_rxm", r);
	story_tell("libfabric %u.%u: %s on %s", FI_MAJOR(fi_version()), FI_MINOR(fi_version()),
		   pair.info->fabric_attr->prov_name, pair.info->domain_attr->name);
	r = register_bar();
	if (r)
		return fail("fi_mr_regattr() with FI_MR_DMABUF", r);
	story_tell("registered DMABUF %d, %s, by fi_mr_regattr()", p2pdma_buffer_fd(buffer),
		   story_size(bytes));
	return 0;
}

static int move(const char *what, const struct fabric_transfer *transfer)
{
	double start = story_now_us();
	int r;

	r = fabric_pair_transfer(&pair, transfer);
	if (r)
		return fail(what, r);
	story_tell("%s: %s in %.0f us", what, story_size(transfer->bytes), story_now_us() - start);
	return 0;
}

static int move_by_peer(size_t bytes)
{
	struct fabric_transfer in = {pair.host, pair.host_mr, window, mr, bytes, false};

	story_fill(pair.host, bytes, 6);
	return move("a peer's fi_write(), host -> BAR", &in) ||
	       story_compare("seen by the CPU in the BAR", window, bytes, 6);
}

static int move_and_revoke(size_t bytes)
{
	struct fabric_transfer in = {window, mr, pair.host, pair.host_mr, bytes, true};
	struct fabric_transfer out = {window, mr, pair.host + bytes, pair.host_mr, bytes, false};
	int r;

	story_fill(pair.host, bytes, 5);
	memset(pair.host + bytes, 0, bytes);
	if (move("fi_read(),  host -> BAR", &in) || move("fi_write(), BAR -> host", &out) ||
	    story_compare("seen by the CPU in the BAR", window, bytes, 5) ||
	    story_compare("written back by libfabric", pair.host + bytes, bytes, 5))
		return 1;
	r = p2pdma_buffer_revoke(buffer, 0, 100, NULL);
	if (r)
		return story_fail(context, "revoking", r);
	r = fabric_pair_transfer(&pair, &in);
	story_tell("after the revocation: %s", r ? fi_strerror(-r) : "FAILED: it still works");
	return !r;
}

int main(int argc, char **argv)
{
	long bytes = argc > 3 ? atol(argv[3]) : 1 << 20;
	int rc;

	if (argc < 3 || bytes <= 0 || bytes > 1 << 30)
		return story_tell("usage: libfabric_mr PROVIDER ADDRESS [BYTES]"), 2;
	rc = prepare(argv[1], argv[2], (uint64_t)bytes);
	if (!rc && is_remote)
		rc = move_by_peer((size_t)bytes);
	if (!rc)
		rc = move_and_revoke((size_t)bytes);
	if (mr)
		fi_close(&mr->fid);
	fabric_pair_close(&pair);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: libfabric moved the bytes of a PCI device, no host copy");
	return rc;
}
