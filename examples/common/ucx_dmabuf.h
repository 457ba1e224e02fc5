/* SPDX-License-Identifier: MIT */
/*
 * The call by which UCX registers a DMABUF. libuct.so.0 has it, but distributions don't install
 * the header that it is in, uct/api/v2/uct_v2.h; this is what UCX 1.18 says there.
 * Fields that the mask doesn't name aren't looked at, so that later ones do no harm.
 */
#ifndef EXAMPLES_UCX_DMABUF_H
#define EXAMPLES_UCX_DMABUF_H

#include <uct/api/uct.h>

struct ucx_mem_reg_params {
	uint64_t field_mask;
	uint64_t flags; /* UCT_MD_MEM_ACCESS_* */
	int dmabuf_fd;
	size_t dmabuf_offset;
};

#define UCX_MEM_REG_FLAGS	  (1U << 0)
#define UCX_MEM_REG_DMABUF_FD	  (1U << 1)
#define UCX_MEM_REG_DMABUF_OFFSET (1U << 2)

/* @address: what work requests call the first byte; it agrees with the offset below the page. */
ucs_status_t uct_md_mem_reg_v2(uct_md_h md, void *address, size_t length,
			       const struct ucx_mem_reg_params *params, uct_mem_h *ret_memh);

#endif /* EXAMPLES_UCX_DMABUF_H */
