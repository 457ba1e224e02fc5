// SPDX-License-Identifier: MIT
/*
 * Looks at an RDMA device: which driver it has, whether it is there, what it can.
 *
 * Two questions are put to the kernel. The registration of descriptor -1 does nothing, and its
 * answer says how far it came (mr/importer.h). And the registration that failed is tried once more
 * by the kernel's own method, and undone where it succeeds: then the provider library was in the
 * way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <infiniband/verbs.h>

#include "explain.h"
#include "mr/importer.h"

void explain_nic_init(struct explain *explain)
{
	const struct ibv_pd *pd = explain->request->pd;
	const char *name = NULL;
	uint32_t driver_id;

	if (pd && pd->context && pd->context->device)
		name = pd->context->device->name;
	explain->has_nic = name;
	snprintf(explain->nic, sizeof(explain->nic), "%s", name ? name : "the NIC");
	if (name && !explain_nic_driver(explain, &driver_id) && uverbs_driver_name(driver_id))
		snprintf(explain->out->driver, sizeof(explain->out->driver), "%s",
			 uverbs_driver_name(driver_id));
}

int explain_nic_driver(struct explain *explain, uint32_t *ret_driver_id)
{
	if (!explain->has_nic)
		return -ENODEV;
	if (explain->driver_error == EXPLAIN_NOT_ASKED)
		explain->driver_error = uverbs_driver_query(explain->context->sys,
							    explain->request->pd->context->cmd_fd,
							    &explain->driver_id);
	if (!explain->driver_error)
		*ret_driver_id = explain->driver_id;
	return explain->driver_error;
}

int explain_nic_try(struct explain *explain, uint32_t access)
{
	const struct p2pdma_explain_request *request = explain->request;
	struct uverbs_dmabuf dmabuf = {
		.pd_handle = request->pd->handle,
		.access = access,
		.offset = request->offset_bytes,
		.length = request->length_bytes,
		.iova = request->iova,
		.fd = explain->fd,
	};
	const struct sys_ops *sys = explain->context->sys;
	int cmd_fd = explain->request->pd->context->cmd_fd;
	struct uverbs_mr mr;
	uint32_t driver_id;
	int r;

	r = explain_nic_driver(explain, &driver_id);
	if (!r)
		r = uverbs_reg_dmabuf(sys, cmd_fd, driver_id, &dmabuf, &mr);
	if (!r)
		uverbs_destroy_mr(sys, cmd_fd, driver_id, mr.handle);
	return r;
}

int explain_nic_probe(struct explain *explain)
{
	const struct p2pdma_context *context = explain->context;
	uint32_t driver_id;

	if (!explain->has_nic)
		return -ENODEV;
	if (explain->probe != EXPLAIN_NOT_ASKED)
		return explain->probe;
	explain->probe = explain_nic_driver(explain, &driver_id);
	if (!explain->probe)
		explain->probe = importer_probe(context->sys, explain->request->pd, driver_id,
						context->page_size_bytes);
	return explain->probe;
}

bool explain_nic_gone(struct explain *explain)
{
	int r;

	if (!explain->has_nic)
		return false;
	r = explain_nic_probe(explain);
	if (r != -EIO && r != -ENODEV)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NIC_GONE, P2PDMA_EXPLANATION_SEEN,
		    "the RDMA device %s has gone", explain->nic);
	explain_remedy(explain->out, "close it; when it is there again, open it anew");
	return true;
}

bool explain_nic_limits(struct explain *explain)
{
	struct verbs_limits limits;

	if (!explain->has_nic ||
	    explain->context->verbs->query_limits(explain->request->pd->context, &limits) ||
	    explain->request->length_bytes <= limits.max_mr_bytes)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NIC_LIMIT, P2PDMA_EXPLANATION_SEEN,
		    "0x%" PRIx64 " bytes are more than a memory region of %s may have: 0x%" PRIx64,
		    explain->request->length_bytes, explain->nic, limits.max_mr_bytes);
	explain_remedy(explain->out, "register several regions");
	return true;
}

bool explain_method(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_NO_METHOD,
		    explain->has_nic && explain_nic_probe(explain) == -EPROTONOSUPPORT ?
			    P2PDMA_EXPLANATION_SEEN :
			    0,
		    "this kernel has no method to register a DMABUF");
	explain_remedy(explain->out, "Linux has it from 5.12 on, and for peer memory from 6.19 on");
	return true;
}

bool explain_driver(struct explain *explain)
{
	struct verbs_limits limits;
	int r = explain_nic_probe(explain);

	if (!explain->has_nic || (r != -EOPNOTSUPP && r != -EINVAL))
		return false;
	/* mlx5's registration is built on it. */
	if (r == -EOPNOTSUPP && explain->driver_id == 1 &&
	    !explain->context->verbs->query_limits(explain->request->pd->context, &limits) &&
	    !limits.has_odp) {
		explain_say(explain->out, P2PDMA_CAUSE_NIC_ODP, P2PDMA_EXPLANATION_SEEN,
			    "%s has no on-demand paging, which mlx5 registers DMABUFs by",
			    explain->nic);
		explain_remedy(explain->out,
			       "a kernel with CONFIG_INFINIBAND_ON_DEMAND_PAGING, and a firmware "
			       "that has ODP on");
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_NIC_DRIVER, P2PDMA_EXPLANATION_SEEN,
		    "the NIC's driver%s%s registers no DMABUF at all on %s",
		    *explain->out->driver ? " " : "", explain->out->driver, explain->nic);
	explain_remedy(explain->out,
		       "mlx5, irdma, efa, bnxt_re, mana and ionic can from Linux 6.19 on, rxe with "
		       "this project's patch");
	return true;
}
