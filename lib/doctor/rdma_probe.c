// SPDX-License-Identifier: MIT
/*
 * What an open RDMA device can do, asked by calls that do nothing.
 *
 * To register descriptor -1 as a DMABUF fails in any case; how tells everything (mr/importer.h): EBADF comes
 * from the one place that looks for the DMABUF. The provider library is asked the same, since an older one
 * lacks the call; this library then goes past it (mr/uverbs.c). Methods are asked for without their
 * attributes. Whether an importer lets itself be revoked has no such question: it is known of the
 * drivers, and shown by P2PDMA_DOCTOR_TRY. No state, no locks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <infiniband/verbs.h>
#include <rdma/ib_user_ioctl_verbs.h>

#include "doctor.h"
#include "mr/importer.h"
#include "mr/uverbs.h"
#include "mr/uverbs_abi.h"

static const char *driver_of(const struct doctor_rdma *rdma)
{
	const char *name = uverbs_driver_name(rdma->driver_id);

	return name ? name : "unknown";
}

static void advise_register(struct doctor *doctor, const struct doctor_rdma *rdma, int error)
{
	if (error == -EPROTONOSUPPORT)
		doctor_advise(doctor, "a kernel from 5.12 on has it");
	else if (rdma->driver_id == RDMA_DRIVER_RXE)
		doctor_advise(doctor,
			      "soft-RoCE needs this project's patches in kernel/rxe, until the "
			      "kernel has them");
	else if (rdma->driver_id == RDMA_DRIVER_MLX5)
		doctor_advise(doctor, "mlx5 needs on-demand paging for it: see rdma.odp");
	else
		doctor_advise(doctor,
			      "drivers that import DMABUFs: mlx5, irdma, efa, bnxt_re, mana, "
			      "ionic");
}

static void check_register(struct doctor *doctor, struct doctor_rdma *rdma)
{
	const struct p2pdma_context *context = doctor->context;
	int r = importer_probe(context->sys, rdma->pd, rdma->driver_id, context->page_size_bytes);

	rdma->has_dmabuf = r == -EBADF;
	if (rdma->has_dmabuf) {
		doctor_add(doctor, DOCTOR_RDMA_REGISTER, P2PDMA_SEVERITY_OK, rdma->name,
			   "driver %s registers DMABUFs", driver_of(rdma));
	} else if (r == -EOPNOTSUPP || r == -EPROTONOSUPPORT) {
		doctor_add(doctor, DOCTOR_RDMA_REGISTER, P2PDMA_SEVERITY_PROBLEM, rdma->name,
			   r == -EOPNOTSUPP ?
				   "driver %s doesn't register DMABUFs (%s)" :
				   "with driver %s this kernel has no method to register "
				   "a DMABUF (%s)",
			   driver_of(rdma), error_name(r));
		advise_register(doctor, rdma, r);
	} else {
		doctor_add(doctor, DOCTOR_RDMA_REGISTER, P2PDMA_SEVERITY_UNKNOWN, rdma->name,
			   "driver %s answers %s to a descriptor that is none", driver_of(rdma),
			   r ? error_name(r) : "success");
		doctor_advise(doctor, "`p2pctl doctor --try` registers a page");
	}
}

static void check_library(struct doctor *doctor, const struct doctor_rdma *rdma)
{
	const struct p2pdma_context *context = doctor->context;
	struct ibv_mr *mr = NULL;
	int r;

	r = context->verbs->reg_dmabuf_mr(rdma->pd, 0, context->page_size_bytes, 0, -1,
					  IBV_ACCESS_LOCAL_WRITE, &mr);
	if (!r)
		context->verbs->dereg_mr(mr);
	doctor_add(
		doctor, DOCTOR_RDMA_LIBRARY, P2PDMA_SEVERITY_OK, rdma->name,
		r == -EOPNOTSUPP ?
			"its provider library is without ibv_reg_dmabuf_mr(): libp2pdma calls the "
			"kernel itself, other programs can't" :
			"its provider library has ibv_reg_dmabuf_mr()");
}

static void check_revocation(struct doctor *doctor, const struct doctor_rdma *rdma)
{
	const char *name = driver_of(rdma);
	bool is_seen;

	switch (importer_revocation_query(doctor->context->sysfs_fd, rdma->driver_id, &is_seen)) {
	case IMPORTER_REVOCABLE:
		doctor_add(doctor, DOCTOR_RDMA_REVOKE, P2PDMA_SEVERITY_OK, rdma->name,
			   "driver %s lets a DMABUF be taken back from it", name);
		break;
	case IMPORTER_UNREVOCABLE:
		doctor_add(
			doctor, DOCTOR_RDMA_REVOKE, P2PDMA_SEVERITY_WARNING, rdma->name,
			"driver %s keeps a DMABUF until it is deregistered: vfio refuses it, and "
			"p2pdma_export takes it only with P2PDMA_BUFFER_ALLOW_UNREVOCABLE",
			name);
		doctor_advise(doctor, "write 1 to allow_unrevocable of the provider in "
				      "/sys/class/p2pdma_export, and acquire with "
				      "--allow-unrevocable; removing the device then waits");
		break;
	default:
		doctor_add(doctor, DOCTOR_RDMA_REVOKE, P2PDMA_SEVERITY_UNKNOWN, rdma->name,
			   "whether driver %s lets a DMABUF be taken back from it isn't known",
			   name);
		doctor_advise(doctor,
			      "`p2pctl doctor --try` registers a page that must be revocable");
	}
}

static void check_odp(struct doctor *doctor, const struct doctor_rdma *rdma)
{
	bool is_mlx5 = rdma->driver_id == RDMA_DRIVER_MLX5;
	struct verbs_limits limits = {.has_odp = false};
	int r = doctor->context->verbs->query_limits(rdma->verbs, &limits);

	if (r) {
		doctor_add(doctor, DOCTOR_RDMA_ODP, P2PDMA_SEVERITY_UNKNOWN, rdma->name,
			   "the device doesn't say what it can do: %s", error_name(r));
		doctor_advise(doctor,
			      "`ibv_devinfo -v -d %s` asks the same; the kernel's log may say why "
			      "it fails",
			      rdma->name);
		return;
	}
	doctor_add(doctor, DOCTOR_RDMA_ODP,
		   limits.has_odp || !is_mlx5 ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_PROBLEM,
		   rdma->name,
		   limits.has_odp ? "on-demand paging is there" :
		   is_mlx5	  ? "no on-demand paging, without which mlx5 registers no DMABUF" :
				    "no on-demand paging; its driver needs none for DMABUFs");
	if (!limits.has_odp && is_mlx5)
		doctor_advise(doctor,
			      "update its firmware, or use the physical function: not every "
			      "virtual function is given it");
}

static void check_features(struct doctor *doctor, const struct doctor_rdma *rdma)
{
	const struct sys_ops *sys = doctor->context->sys;
	char path[200] = "";
	int r;

	doctor_add(doctor, DOCTOR_RDMA_DMAH, P2PDMA_SEVERITY_OK, rdma->name,
		   uverbs_has_dmah(sys, rdma->verbs->cmd_fd, rdma->driver_id) ?
			   "DMA handles are there: regions can carry TLP processing hints" :
			   "no DMA handles (TLP processing hints)");
	if (rdma->driver_id != RDMA_DRIVER_MLX5)
		return;
	r = uverbs_data_direct_query(sys, rdma->verbs->cmd_fd, path, sizeof(path));
	doctor_add(doctor, DOCTOR_RDMA_DATA_DIRECT, P2PDMA_SEVERITY_OK, rdma->name,
		   r ? "no data-direct function%s (%s)" :
		       "data-direct: regions may be read through %s (%s)",
		   path, r ? error_name(r) : "mlx5");
}

void doctor_probe_rdma(struct doctor *doctor, struct doctor_rdma *rdma)
{
	int r = uverbs_driver_query(doctor->context->sys, rdma->verbs->cmd_fd, &rdma->driver_id);

	if (r) {
		doctor_add(doctor, DOCTOR_RDMA_REGISTER, P2PDMA_SEVERITY_PROBLEM, rdma->name,
			   "this kernel has no ioctl for verbs (%s), without which no DMABUF is "
			   "registered",
			   error_name(r));
		doctor_advise(doctor, "a kernel from 5.12 on has it");
		return;
	}
	check_register(doctor, rdma);
	check_odp(doctor, rdma);
	if (!rdma->has_dmabuf)
		return;
	check_library(doctor, rdma);
	check_revocation(doctor, rdma);
	check_features(doctor, rdma);
}
