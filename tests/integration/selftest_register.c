// SPDX-License-Identifier: MIT
/* Registration: the real kernel's answers, and that the library's own match them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selftest.h"

static int try_register(struct p2pdma_buffer *buffer, uint64_t offset, uint64_t bytes,
			uint64_t iova, unsigned int access)
{
	struct p2pdma_mr *mr = NULL;
	int r;

	r = p2pdma_mr_register(selftest.pair.pd, buffer, offset, bytes, iova, access, &mr);
	if (!r)
		r = p2pdma_mr_deregister(mr);
	return r;
}

static void method_is_told(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = new_mr(buffer);
	struct ibv_mr *bare;
	int is_verbs;

	if (!mr)
		return;
	errno = 0;
	bare = ibv_reg_dmabuf_mr(selftest.pair.pd, 0, PAGE, 0, p2pdma_buffer_fd(buffer),
				 IBV_ACCESS_LOCAL_WRITE);
	is_verbs = p2pdma_mr_method(mr) == P2PDMA_MR_METHOD_VERBS;
	tap_ok(!!bare == is_verbs, "method_is_verbs_where_the_library_has_it", errno);
	tap_ok(!!p2pdma_mr_ibv_mr(mr) == is_verbs, "ibv_mr_is_there_with_verbs", 0);
	if (bare)
		ibv_dereg_mr(bare);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_after_method", 0);
}

static void rules(struct p2pdma_buffer *buffer)
{
	tap_ok(try_register(buffer, 0, 0, 0, ACCESS) == -EINVAL, "register_nothing_einval", 0);
	tap_ok(try_register(buffer, SLICE, 1, 0, ACCESS) == -EINVAL, "register_past_end_einval", 0);
	tap_ok(try_register(buffer, PAGE, PAGE, 1, ACCESS) == -EINVAL, "register_iova_einval", 0);
	tap_ok(try_register(buffer, 0, PAGE, 0, IBV_ACCESS_REMOTE_WRITE) == -EINVAL,
	       "register_remote_without_local_write_einval", 0);
	tap_ok(try_register(buffer, 0, PAGE, 0, IBV_ACCESS_MW_BIND) == -EINVAL,
	       "register_memory_window_einval", 0);
	tap_ok(!try_register(buffer, 0, PAGE, 0, ACCESS | IBV_ACCESS_RELAXED_ORDERING),
	       "register_relaxed_ordering", 0);
	tap_ok(!try_register(buffer, 0, PAGE, UINT64_MAX - PAGE + 1, ACCESS),
	       "register_last_page_of_address_space", 0);
}

/* Each of many regions is a mapping of its own, and none stays behind. */
static void many(struct p2pdma_buffer *buffer)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_mr *mrs[64] = {NULL};
	int r = 0;

	for (uint32_t i = 0; i < 64 && !r; i++)
		r = p2pdma_mr_register(selftest.pair.pd, buffer, (uint64_t)i * PAGE, PAGE, 0,
				       ACCESS, &mrs[i]);
	tap_ok(!r, "register_64_regions", r);
	r = p2pdma_buffer_query(buffer, &status);
	tap_ok(!r && status.nr_mrs == 64, "query_counts_regions", (long)status.nr_mrs);
	if (status.flags & P2PDMA_STATUS_COUNTED)
		tap_ok(status.nr_mappings == 64, "kernel_counts_mappings", status.nr_mappings);
	r = 0;
	for (int i = 0; i < 64; i++)
		r |= p2pdma_mr_deregister(mrs[i]);
	tap_ok(!r, "deregister_64_regions", r);
	p2pdma_buffer_query(buffer, &status);
	tap_ok(status.nr_mrs == 0 && status.nr_mappings == 0, "nothing_stays_mapped",
	       status.nr_mappings);
}

static void free_before_deregister(void)
{
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);
	struct p2pdma_mr *mr = buffer ? new_mr(buffer) : NULL;
	int r;

	p2pdma_buffer_free(buffer);
	if (!mr)
		return;
	r = transfer(IBV_WR_RDMA_WRITE, 0, SLICE, 0, p2pdma_mr_rkey(mr));
	tap_ok(!r, "region_keeps_its_buffer", r);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_ends_the_buffer", 0);
}

void test_registration(void)
{
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);

	if (!buffer)
		return;
	method_is_told(buffer);
	rules(buffer);
	many(buffer);
	p2pdma_buffer_free(buffer);
	free_before_deregister();
}
