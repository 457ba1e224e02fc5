/* SPDX-License-Identifier: MIT */
/* An ioctl with a list of attributes; any process with the device open may make it. */
#include <string.h>

#include "labtest.h"
#include "uverbs.h"

void uverbs_init(struct uverbs_call *uverbs, uint16_t object, uint16_t method)
{
	memset(uverbs, 0, sizeof(*uverbs));
	uverbs->head.object_id = object;
	uverbs->head.method_id = method;
	uverbs->head.driver_id = RDMA_DRIVER_RXE;
	uverbs->head.length = sizeof(uverbs->head);
}

void uverbs_add(struct uverbs_call *uverbs, uint16_t id, uint16_t length, uint64_t data)
{
	struct ib_uverbs_attr *attr = &uverbs->attrs[uverbs->head.num_attrs++];

	attr->attr_id = id;
	attr->len = length;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	attr->data = data;
	uverbs->head.length += sizeof(*attr);
}

int uverbs_run(struct uverbs_call *uverbs, struct ibv_context *context)
{
	return call(context->cmd_fd, RDMA_VERBS_IOCTL, uverbs);
}
