/* SPDX-License-Identifier: MIT */
#ifndef PATHS_H
#define PATHS_H

#include "common/pci.h"

/* As path_distance_query(), by what sysfs said within the last second. */
int paths_distance(int sysfs_fd, const struct pci_address *provider,
		   const struct pci_address *importer, int32_t *ret_distance);
/* A function has come, gone or changed, or this p2pd ends. */
void paths_forget(void);

#endif /* PATHS_H */
