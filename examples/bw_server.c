// SPDX-License-Identifier: MIT
/*
 * bw_server PROVIDER RDMADEV [BYTES [PORT]]: a BAR for RDMA writes from another machine.
 *
 *	bw_server 0000:01:00.0/2 rxe0		here
 *	bw_client 192.0.2.1 rxe0		there
 *
 * Exports the first bytes of the BAR, registers them and gives address and key
 * to the first client that comes. When the client says that it has written,
 * the CPU looks at the BAR; then the memory is taken back, and the client may find out
 * what its next write becomes. The client has nothing of libp2pdma in it.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/bw.h"
#include "common/rc_link.h"
#include "common/story.h"

#define ACCESS                                                                                     \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE |               \
	 IBV_ACCESS_RELAXED_ORDERING)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct p2pdma_mr *mr;
static struct rc_link wire;

static int offer(const char *name, const char *device, uint64_t bytes)
{
	struct p2pdma_range range = {.offset_bytes = 0, .length_bytes = bytes};
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	if (r)
		return story_fail(context, "exporting the BAR", r);
	r = rc_link_open(&wire, device, 1);
	if (r)
		return story_fail(NULL, device, r);
	r = p2pdma_mr_register(wire.pd, buffer, 0, bytes, 0, ACCESS, &mr);
	if (r)
		return story_fail(context, "registering the memory region", r);
	story_tell("%s of the BAR are registered with %s, rkey 0x%x", story_size(bytes), device,
		   p2pdma_mr_rkey(mr));
	return 0;
}

static int meet(const char *service)
{
	struct rc_memory theirs, mine = {
					 .address = p2pdma_mr_iova(mr),
					 .length_bytes = p2pdma_mr_length_bytes(mr),
					 .rkey = p2pdma_mr_rkey(mr),
				 };
	int r;

	story_tell("waiting for a client on port %s", service);
	r = rc_link_accept(&wire, service);
	if (!r)
		r = rc_link_connect(&wire, &mine, &theirs);
	if (r)
		return story_fail(NULL, "meeting the client", r);
	story_tell("a client has come");
	return 0;
}

/* What the client has left, as the CPU sees it in the BAR. */
static int look(uint64_t bytes)
{
	uint32_t word = 0;
	void *window;
	long wrong;
	int r;

	r = rc_link_hear(&wire, &word);
	if (r || word != BW_WRITTEN)
		return story_fail(NULL, "waiting for the client's writes", r ? r : -EPROTO);
	r = p2pdma_buffer_map(buffer, 0, bytes, P2PDMA_MAP_READ, &window);
	if (r)
		return story_fail(context, "mapping the BAR", r);
	wrong = story_check(window, bytes, BW_SEED);
	r = rc_link_tell(&wire, wrong < 0 ? BW_RIGHT : BW_WRONG);
	if (r)
		return story_fail(NULL, "answering the client", r);
	if (wrong >= 0)
		return story_tell("FAILED: byte %ld in the BAR is wrong", wrong), 1;
	story_tell("seen by the CPU in the BAR: all %s are right", story_size(bytes));
	return 0;
}

static int take_back(void)
{
	uint32_t word;
	int r;

	r = p2pdma_buffer_revoke(buffer, 0, 1000, NULL);
	if (r)
		return story_fail(context, "taking the memory back", r);
	story_tell("the memory has been taken back");
	r = rc_link_tell(&wire, BW_REVOKED);
	if (r)
		return story_fail(NULL, "telling the client", r);
	/* It closes the connection when it has seen what it wanted to. */
	return rc_link_hear(&wire, &word) != -ECONNRESET;
}

int main(int argc, char **argv)
{
	long bytes = argc > 3 ? atol(argv[3]) : 1 << 20;
	int rc;

	if (argc < 3 || bytes <= 0 || bytes > 1 << 30)
		return story_tell("usage: bw_server PROVIDER RDMADEV [BYTES [PORT]]"), 2;
	rc = offer(argv[1], argv[2], (uint64_t)bytes) || meet(argc > 4 ? argv[4] : BW_SERVICE) ||
	     look((uint64_t)bytes) || take_back();
	if (p2pdma_mr_deregister(mr))
		rc = story_fail(context, "deregistering", -EBUSY);
	p2pdma_buffer_free(buffer);
	rc_link_close(&wire);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: another machine wrote to a PCI device of this one");
	return rc;
}
