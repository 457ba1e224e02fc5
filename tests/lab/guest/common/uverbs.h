/* SPDX-License-Identifier: MIT */
/*
 * The kernel's uverbs methods themselves, without a library: for what a provider
 * library has no call for, or would not let by.
 */
#ifndef LAB_UVERBS_H
#define LAB_UVERBS_H

#include <infiniband/verbs.h>
#include <rdma/rdma_user_ioctl.h>
#include <stdint.h>

#define UVERBS_MAX_ATTRS 12

struct uverbs_call {
	struct ib_uverbs_ioctl_hdr head;
	struct ib_uverbs_attr attrs[UVERBS_MAX_ATTRS];
};

void uverbs_init(struct uverbs_call *uverbs, uint16_t object, uint16_t method);
/* @data of up to 8 bytes is the value, of more, or for an output, an address. */
void uverbs_add(struct uverbs_call *uverbs, uint16_t id, uint16_t length, uint64_t data);
/* 0 or -errno. */
int uverbs_run(struct uverbs_call *uverbs, struct ibv_context *context);

#endif /* LAB_UVERBS_H */
