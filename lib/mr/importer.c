// SPDX-License-Identifier: MIT
/*
 * What is known of an RDMA device as an importer: by its driver, by the parameters of rxe, and by the
 * one registration that does nothing. The doctor tells it beforehand, an explanation afterwards.
 *
 * No state, no locks.
 */
#include <infiniband/verbs.h>
#include <rdma/ib_user_ioctl_verbs.h>

#include "common/sysfs.h"
#include "importer.h"
#include "uverbs.h"
#include "uverbs_abi.h"

static enum importer_revocation query_rxe(int sysfs_fd, bool *ret_is_seen)
{
	char line[8];

	if (sysfs_read_line(sysfs_fd, IMPORTER_RXE_PARAMETERS "dmabuf_revocable", line,
			    sizeof(line)))
		return IMPORTER_REVOCATION_UNKNOWN;
	*ret_is_seen = true;
	return *line == 'Y' ? IMPORTER_REVOCABLE : IMPORTER_UNREVOCABLE;
}

enum importer_revocation importer_revocation_query(int sysfs_fd, uint32_t driver_id,
						   bool *ret_is_seen)
{
	*ret_is_seen = false;
	switch (driver_id) {
	case RDMA_DRIVER_MLX5:
	case RDMA_DRIVER_IRDMA:
		return IMPORTER_REVOCABLE;
	/* As of Linux 7.3: they pin without a callback for invalidation. */
	case RDMA_DRIVER_EFA:
	case RDMA_DRIVER_BNXT_RE:
	case UVERBS_ABI_DRIVER_MANA:
	case UVERBS_ABI_DRIVER_IONIC:
		return IMPORTER_UNREVOCABLE;
	case RDMA_DRIVER_RXE:
		return query_rxe(sysfs_fd, ret_is_seen);
	default:
		return IMPORTER_REVOCATION_UNKNOWN;
	}
}

bool importer_lent_query(int sysfs_fd, uint32_t driver_id, struct pci_address *ret_address)
{
	char lent[PCI_ADDRESS_SIZE];

	return driver_id == RDMA_DRIVER_RXE &&
	       !sysfs_read_line(sysfs_fd, IMPORTER_RXE_PARAMETERS "dmabuf_device", lent,
				sizeof(lent)) &&
	       !pci_address_parse(lent, ret_address);
}

int importer_probe(const struct sys_ops *sys, const struct ibv_pd *pd, uint32_t driver_id,
		   uint64_t page_bytes)
{
	struct uverbs_dmabuf nothing = {
		.pd_handle = pd->handle,
		.access = IBV_ACCESS_LOCAL_WRITE,
		.length = page_bytes,
		.fd = -1,
	};
	int cmd_fd = pd->context->cmd_fd, r;
	struct uverbs_mr mr;

	r = uverbs_reg_dmabuf(sys, cmd_fd, driver_id, &nothing, &mr);
	/* No kernel does that. */
	if (!r)
		uverbs_destroy_mr(sys, cmd_fd, driver_id, mr.handle);
	return r;
}
