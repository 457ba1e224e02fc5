/* SPDX-License-Identifier: MIT */
#ifndef IMPORTER_H
#define IMPORTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/pci.h"
#include "common/sys.h"

struct ibv_pd;

/* What rxe is told with this project's patch, below sysfs. */
#define IMPORTER_RXE_PARAMETERS "module/rdma_rxe/parameters/"

/* Can a DMABUF be taken back from an RDMA device? */
enum importer_revocation {
	IMPORTER_REVOCATION_UNKNOWN,
	IMPORTER_REVOCABLE,
	IMPORTER_UNREVOCABLE,
};

/* By its driver; *ret_is_seen: the driver itself says so. */
enum importer_revocation importer_revocation_query(int sysfs_fd, uint32_t driver_id,
						   bool *ret_is_seen);

/* The function that is lent to soft-RoCE in place of its network card's. False: none, or no rxe. */
bool importer_lent_query(int sysfs_fd, uint32_t driver_id, struct pci_address *ret_address);

/*
 * Registers descriptor -1, which does nothing; how it fails says how far it came: -EBADF is a driver that
 * takes DMABUFs, -EOPNOTSUPP one that doesn't, -EPROTONOSUPPORT a kernel without the method,
 * -EIO a device that has gone.
 */
int importer_probe(const struct sys_ops *sys, const struct ibv_pd *pd, uint32_t driver_id,
		   uint64_t page_bytes);

#endif /* IMPORTER_H */
