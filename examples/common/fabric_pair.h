/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_FABRIC_PAIR_H
#define EXAMPLES_FABRIC_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

struct fabric_end {
	struct fid_ep *ep;
	struct fid_cq *cq;
	struct fid_av *av;
};

/*
 * Two endpoints of libfabric's verbs;ofi_rxm in one domain, and host memory for either side of a
 * transfer. What the first asks for the second does. Used by one thread at a time.
 */
struct fabric_pair {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fabric_end end[2];
	fi_addr_t peer;
	uint8_t *host;
	struct fid_mr *host_mr;
};

/* One transfer between memory of the first endpoint and memory of the second. */
struct fabric_transfer {
	void *local;
	struct fid_mr *mr; /* of @local */
	void *remote;
	struct fid_mr *remote_mr;
	size_t bytes;
	bool is_read; /* into @local, or out of it */
};

/* Everything returns 0 or libfabric's error, negative. @address: of the RDMA device, "192.0.2.1". */
int fabric_pair_open(struct fabric_pair *pair, const char *address, size_t host_bytes);
void fabric_pair_close(struct fabric_pair *pair);

/* Posts and waits. */
int fabric_pair_transfer(struct fabric_pair *pair, const struct fabric_transfer *transfer);

#endif /* EXAMPLES_FABRIC_PAIR_H */
