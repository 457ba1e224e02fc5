/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_UCX_PAIR_H
#define EXAMPLES_UCX_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uct/api/uct.h>

/*
 * Two endpoints of UCX's lower layer (UCT) on one RDMA device, connected with each other by its
 * transport rc_verbs; what the first asks for the second does. Used by one thread.
 */
struct ucx_pair {
	uct_component_h component;
	uct_md_h md;
	uct_md_attr_t attr;
	ucs_async_context_t *async;
	uct_worker_h worker;
	uct_iface_h iface;
	uct_ep_h ep[2];
	uint8_t *host; /* memory of the first, registered */
	uct_mem_h host_handle;
};

/* Registered memory, and its key as the other side has it. */
struct ucx_memory {
	void *address;
	uct_mem_h handle;
	uct_rkey_bundle_t key;
	bool is_shared;
};

/* @device: of RDMA, "rxe0"; port 1 of it. Where it fails nothing stays open. */
ucs_status_t ucx_pair_open(struct ucx_pair *pair, const char *device, size_t host_bytes);
void ucx_pair_close(struct ucx_pair *pair);

/* Makes the key of @memory, whose address and handle the caller has set. */
ucs_status_t ucx_pair_share(struct ucx_pair *pair, struct ucx_memory *memory);
/* Takes key and registration back, as far as there are. */
void ucx_pair_forget(struct ucx_pair *pair, struct ucx_memory *memory);

/* Writes to @remote, or reads from there; @local: in the pair's host memory. They wait. */
ucs_status_t ucx_pair_put(struct ucx_pair *pair, uint8_t *local, size_t bytes,
			  const struct ucx_memory *remote);
ucs_status_t ucx_pair_get(struct ucx_pair *pair, uint8_t *local, size_t bytes,
			  const struct ucx_memory *remote);
/* Adds to the first eight bytes of @remote; *ret_before is what was there. */
ucs_status_t ucx_pair_add(struct ucx_pair *pair, const struct ucx_memory *remote, uint64_t summand,
			  uint64_t *ret_before);

#endif /* EXAMPLES_UCX_PAIR_H */
