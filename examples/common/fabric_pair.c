// SPDX-License-Identifier: MIT
/*
 * libfabric's plumbing, so that the example can show its own subject.
 *
 * Both endpoints are in this process, so their addresses are at hand. Progress is
 * made by whoever reads a completion queue: the second endpoint accepts the
 * connection of the first, so both queues are read until the transfer is done.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "fabric_pair.h"

#define MR_MODE	  (FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY)
#define TIMEOUT_S 30
#define NAME_SIZE 128

static int open_domain(struct fabric_pair *pair, const char *address)
{
	struct fi_info *hints = fi_allocinfo();
	int r;

	if (!hints)
		return -FI_ENOMEM;
	hints->ep_attr->type = FI_EP_RDM;
	hints->caps = FI_RMA | FI_MSG;
	hints->domain_attr->mr_mode = MR_MODE;
	hints->fabric_attr->prov_name = strdup("verbs;ofi_rxm");
	/* From 1.20 on the attributes of a memory region may name a DMABUF. */
	r = fi_getinfo(FI_VERSION(1, 20), address, NULL, FI_SOURCE, hints, &pair->info);
	fi_freeinfo(hints);
	if (!r)
		r = fi_fabric(pair->info->fabric_attr, &pair->fabric, NULL);
	if (!r)
		r = fi_domain(pair->fabric, pair->info, &pair->domain, NULL);
	return r;
}

static int open_end(struct fabric_pair *pair, struct fabric_end *end)
{
	struct fi_cq_attr cq_attr = {.format = FI_CQ_FORMAT_CONTEXT};
	struct fi_av_attr av_attr = {.type = FI_AV_TABLE};
	int r;

	r = fi_endpoint(pair->domain, pair->info, &end->ep, NULL);
	if (!r)
		r = fi_cq_open(pair->domain, &cq_attr, &end->cq, NULL);
	if (!r)
		r = fi_av_open(pair->domain, &av_attr, &end->av, NULL);
	if (!r)
		r = fi_ep_bind(end->ep, &end->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!r)
		r = fi_ep_bind(end->ep, &end->av->fid, 0);
	return r ? r : fi_enable(end->ep);
}

/* The first knows where the second is. */
static int introduce(struct fabric_pair *pair)
{
	uint8_t name[NAME_SIZE];
	size_t size = sizeof(name);
	int r;

	r = fi_getname(&pair->end[1].ep->fid, name, &size);
	if (r)
		return r;
	r = fi_av_insert(pair->end[0].av, name, 1, &pair->peer, 0, NULL);
	return r == 1 ? 0 : r < 0 ? r : -FI_EADDRNOTAVAIL;
}

int fabric_pair_open(struct fabric_pair *pair, const char *address, size_t host_bytes)
{
	int r;

	memset(pair, 0, sizeof(*pair));
	/* Completion queues are made for so many peers; for 256, soft-RoCE's are too short. */
	setenv("FI_UNIVERSE_SIZE", "2", 0);
	r = open_domain(pair, address);
	for (int i = 0; !r && i < 2; i++)
		r = open_end(pair, &pair->end[i]);
	if (!r)
		r = introduce(pair);
	if (!r && posix_memalign((void **)&pair->host, 4096, host_bytes))
		r = -FI_ENOMEM;
	if (!r)
		r = fi_mr_reg(pair->domain, pair->host, host_bytes,
			      FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
			      &pair->host_mr, NULL);
	if (r)
		fabric_pair_close(pair);
	return r;
}

void fabric_pair_close(struct fabric_pair *pair)
{
	if (pair->host_mr)
		fi_close(&pair->host_mr->fid);
	for (int i = 0; i < 2; i++) {
		if (pair->end[i].ep)
			fi_close(&pair->end[i].ep->fid);
		if (pair->end[i].av)
			fi_close(&pair->end[i].av->fid);
		if (pair->end[i].cq)
			fi_close(&pair->end[i].cq->fid);
	}
	if (pair->domain)
		fi_close(&pair->domain->fid);
	if (pair->fabric)
		fi_close(&pair->fabric->fid);
	fi_freeinfo(pair->info);
	free(pair->host);
	memset(pair, 0, sizeof(*pair));
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* 1: a completion; 0: none yet. */
static int progress(struct fabric_pair *pair)
{
	struct fi_cq_err_entry error = {0};
	struct fi_cq_entry entry;
	ssize_t r;

	fi_cq_read(pair->end[1].cq, &entry, 1);
	r = fi_cq_read(pair->end[0].cq, &entry, 1);
	if (r == -FI_EAVAIL && fi_cq_readerr(pair->end[0].cq, &error, 0) == 1)
		return -error.err;
	return r == -FI_EAGAIN ? 0 : (int)r;
}

static int post(struct fabric_pair *pair, const struct fabric_transfer *t, void *posted)
{
	uint64_t remote = (uintptr_t)t->remote;
	uint64_t key = fi_mr_key(t->remote_mr);

	if (t->is_read)
		return (int)fi_read(pair->end[0].ep, t->local, t->bytes, fi_mr_desc(t->mr),
				    pair->peer, remote, key, posted);
	return (int)fi_write(pair->end[0].ep, t->local, t->bytes, fi_mr_desc(t->mr), pair->peer,
			     remote, key, posted);
}

int fabric_pair_transfer(struct fabric_pair *pair, const struct fabric_transfer *transfer)
{
	time_t deadline = now_s() + TIMEOUT_S;
	struct fi_context2 posted;
	int r;

	/* "Again" also while the two are being connected. */
	while ((r = post(pair, transfer, &posted)) == -FI_EAGAIN) {
		r = progress(pair);
		if (r < 0)
			return r;
		if (now_s() > deadline)
			return -FI_ETIMEDOUT;
	}
	if (r)
		return r;
	while (!(r = progress(pair))) {
		if (now_s() > deadline)
			return -FI_ETIMEDOUT;
	}
	return r == 1 ? 0 : r;
}
