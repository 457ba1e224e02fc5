/* SPDX-License-Identifier: MIT */
/*
 * What the programs have in common that make calls fail and compare what p2pdma_explain() says.
 *
 * A case is a call that must fail with one errno, and the cause, the words and the certainty of its
 * explanation. The RDMA device is opened without queue pairs: nothing is moved.
 */
#ifndef LAB_EXPLAIN_H
#define LAB_EXPLAIN_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"
#include "common/pair.h"

#define SLICE  0x20000ULL
#define SEEN   P2PDMA_EXPLANATION_SEEN
#define LIKELY 0U

static struct {
	struct p2pdma_context *context;
	struct p2pdma_provider *provider;
	struct pair pair; /* the device and a protection domain alone */
} lab;

static struct p2pdma_explain_request request;

static inline void lab_open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	for (size_t i = 0; list && list[i]; i++) {
		if (!strcmp(ibv_get_device_name(list[i]), name))
			lab.pair.context = ibv_open_device(list[i]);
	}
	must(lab.pair.context ? 0 : -ENODEV, name);
	ibv_free_device_list(list);
	lab.pair.pd = ibv_alloc_pd(lab.pair.context);
	must(lab.pair.pd ? 0 : -errno, "a protection domain");
}

static inline void lab_open(const char *device, const char *provider)
{
	must(p2pdma_context_open(NULL, &lab.context), "opening the library");
	must(p2pdma_provider_find(lab.context, provider, &lab.provider), provider);
	lab_open_device(device);
}

static inline void lab_close(void)
{
	ibv_dealloc_pd(lab.pair.pd);
	ibv_close_device(lab.pair.context);
	p2pdma_provider_unref(lab.provider);
	p2pdma_context_close(lab.context);
}

static inline struct p2pdma_buffer *lab_buffer(uint64_t offset, uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {offset, SLICE};
	struct p2pdma_buffer *buffer = NULL;
	int r;

	options.flags = flags;
	r = p2pdma_buffer_new(lab.context, lab.provider, &range, 1, &options, &buffer);
	if (r)
		die(r, "exporting: %s", p2pdma_context_error(lab.context));
	return buffer;
}

/* The registration of a whole slice, as a program would ask about it that has only the DMABUF. */
static inline void ask_register(int fd)
{
	static const struct p2pdma_explain_request init = P2PDMA_EXPLAIN_REQUEST_INIT;

	request = init;
	request.operation = P2PDMA_OPERATION_REGISTER;
	request.flags = P2PDMA_EXPLAIN_UVERBS;
	request.fd = fd;
	request.length_bytes = SLICE;
	request.access = MR_ALL_ACCESS;
	request.pd = lab.pair.pd;
	request.provider = p2pdma_provider_name(lab.provider);
}

/* The same of memory by its address. */
static inline void ask_memory(void *memory)
{
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	request.iova = (uintptr_t)memory;
}

/* Makes the call that the request describes: 0 or -errno; what succeeds is undone. */
static inline int try_register(enum mr_way way)
{
	struct mr_request range = {request.fd, request.offset_bytes, request.length_bytes,
				   request.iova, request.access};
	struct dmabuf_mr mr;
	int r = dmabuf_mr_register(&lab.pair, way, &range, &mr);

	if (!r)
		must(dmabuf_mr_deregister(&lab.pair, &mr), "deregistering");
	return r;
}

static inline int try_register_memory(void)
{
	struct ibv_mr *mr = ibv_reg_mr(lab.pair.pd, (void *)(uintptr_t)request.iova,
				       request.length_bytes, (int)request.access);

	if (!mr)
		return -errno;
	must(-ibv_dereg_mr(mr), "deregistering memory");
	return 0;
}

static inline int try_library(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;
	int r = p2pdma_mr_register(lab.pair.pd, buffer, 0, SLICE, 0, MR_ALL_ACCESS, &mr);

	if (!r)
		must(p2pdma_mr_deregister(mr), "deregistering");
	return r;
}

/* @got must be @want; then the request must be explained by @cause and in these words. */
static inline void explained(int got, int want, uint32_t cause, uint32_t flags, const char *says)
{
	struct p2pdma_explanation why = P2PDMA_EXPLANATION_INIT;
	char name[80];
	int r;

	snprintf(name, sizeof(name), "%s_is_%s", error_name(want), p2pdma_cause_name(cause));
	if (got != want) {
		tap_ok(false, name, got);
		return;
	}
	r = p2pdma_explain(lab.context, got, &request, &why);
	printf("# %s: %s; %s\n", p2pdma_cause_name(why.cause), why.sentence, why.remedy);
	tap_ok(!r && why.cause == cause && why.flags == flags && strstr(why.sentence, says), name,
	       r);
}

/* What the library itself said of its call. */
static inline void told(int got, int want, const char *says, const char *name)
{
	printf("# %s\n", p2pdma_context_error(lab.context));
	tap_ok(got == want && strstr(p2pdma_context_error(lab.context), says), name, got);
}

#endif /* LAB_EXPLAIN_H */
