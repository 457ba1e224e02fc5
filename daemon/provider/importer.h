/* SPDX-License-Identifier: MIT */
#ifndef IMPORTER_H
#define IMPORTER_H

#include "common/cause.h"
#include "common/pci.h"

/* The PCI function of "mlx5_0", or of "0000:81:00.0" itself. -ENODEV. */
int importer_find(const char *name, struct pci_address *ret_address, struct cause *cause);

#endif /* IMPORTER_H */
