// SPDX-License-Identifier: MIT
/*
 * Who will import: an RDMA device by name, or a PCI function by address, as the library finds
 * them, with the cause where there is none.
 */
#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"
#include "common/pci_tree.h"
#include "importer.h"

int importer_find(const char *name, struct pci_address *ret_address, struct cause *cause)
{
	cleanup_fd int sysfs_fd = -1;
	int r;

	if (!pci_address_parse(name, ret_address))
		return 0;
	sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sysfs_fd < 0)
		return cause_fail(cause, -errno, "sysfs can't be opened");
	r = pci_importer_query(sysfs_fd, name, ret_address);
	if (r == -EINVAL)
		return cause_fail(cause, r, "\"%s\" is no name of an RDMA device", name);
	if (r)
		return cause_fail(cause, -ENODEV,
				  "there is no RDMA device \"%s\" with a PCI function", name);
	return 0;
}
