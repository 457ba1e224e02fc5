// SPDX-License-Identifier: MIT
/*
 * explain PROVIDER RDMADEV: a program that registers by itself, and asks why it
 * doesn't work.
 *
 *	explain 0000:01:00.0/2 rxe0
 *
 * It calls ibv_reg_dmabuf_mr() with an iova that can't be, with a range that is too
 * long, and with a descriptor of something else, then as it should be. Each time the
 * errno alone says little, and p2pdma_explain() what it was. Where the provider
 * library has no such call, that is the cause each time, and p2pdma_mr_register()
 * does what it advises.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define BYTES (1U << 20)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct rc_pair pair;
static uint32_t last_cause;

static int export_slice(void)
{
	struct p2pdma_range range = {0, BYTES};
	int r;

	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	if (r)
		return story_fail(context, "exporting", r);
	story_tell("%s as a DMABUF, made by %s", story_size(BYTES), p2pdma_buffer_exporter(buffer));
	return 0;
}

static int ask(int error, const struct p2pdma_explain_request *request)
{
	struct p2pdma_explanation why = P2PDMA_EXPLANATION_INIT;
	int r;

	r = p2pdma_explain(context, error, request, &why);
	if (r)
		return story_fail(context, "explaining", r);
	story_tell("%s is %s%s: %s", strerrorname_np(error), p2pdma_cause_name(why.cause),
		   why.flags & P2PDMA_EXPLANATION_SEEN ? "" : ", most likely", why.sentence);
	if (*why.remedy)
		story_tell("  %s", why.remedy);
	last_cause = why.cause;
	return 0;
}

/* Registers as the request says, and asks when that fails. */
static int try(const char *what, const struct p2pdma_explain_request *request)
{
	struct ibv_mr *mr;

	mr = ibv_reg_dmabuf_mr(request->pd, request->offset_bytes, (size_t)request->length_bytes,
			       request->iova, request->fd, (int)request->access);
	story_tell("%s: %s", what, mr ? "registered" : "refused");
	if (!mr)
		return ask(errno, request);
	last_cause = P2PDMA_CAUSE_UNKNOWN;
	ibv_dereg_mr(mr);
	return 0;
}

static int register_by_hand(void)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	int rc;

	request.operation = P2PDMA_OPERATION_REGISTER;
	request.fd = p2pdma_buffer_fd(buffer);
	request.length_bytes = BYTES;
	request.iova = 0x1234;
	request.access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	request.pd = pair.pd;
	request.provider = p2pdma_provider_name(provider);
	rc = try("an iova in the middle of a page", &request);
	request.iova = 0;
	request.length_bytes = 2 * BYTES;
	rc = rc || try("twice what was exported", &request);
	request.length_bytes = BYTES;
	request.fd = 0;
	rc = rc || try("standard input", &request);
	request.fd = p2pdma_buffer_fd(buffer);
	return rc || try("as it should be", &request);
}

static int register_by_library(void)
{
	struct p2pdma_mr *mr;
	int r;

	if (last_cause != P2PDMA_CAUSE_NIC_LIBRARY)
		return last_cause != P2PDMA_CAUSE_UNKNOWN;
	r = p2pdma_mr_register(pair.pd, buffer, 0, BYTES, 0, IBV_ACCESS_LOCAL_WRITE, &mr);
	if (r)
		return story_fail(context, "registering", r);
	story_tell("p2pdma_mr_register(): registered");
	p2pdma_mr_deregister(mr);
	return 0;
}

int main(int argc, char **argv)
{
	int r, rc;

	if (argc < 3)
		return story_tell("usage: explain PROVIDER RDMADEV"), 2;
	if (story_open(argv[1], &context, &provider))
		return 1;
	r = rc_pair_open(&pair, argv[2], BYTES);
	rc = r ? story_fail(NULL, argv[2], r) : 0;
	rc = rc || export_slice() || register_by_hand() || register_by_library();
	p2pdma_buffer_free(buffer);
	rc_pair_close(&pair);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: every refusal had a reason");
	return rc;
}
