// SPDX-License-Identifier: MIT
/*
 * Looks at a refusal: EOPNOTSUPP from whoever doesn't want the other.
 *
 * Four parties may say it: libibverbs, the provider library, the NIC's driver, the exporter. The
 * first two are found by asking the kernel without them, the third by asking it for
 * less. What is left is between exporter and driver, and there it is known of each driver
 * whether it can be revoked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <infiniband/verbs.h>

#include "common/pci_tree.h"
#include "explain.h"
#include "mr/importer.h"

void explain_nic_importer(const struct explain *explain, char *ret_name, size_t size)
{
	char lent[PCI_ADDRESS_SIZE];
	struct pci_address address;

	snprintf(ret_name, size, "%s", explain->nic);
	if (!importer_lent_query(explain->context->sysfs_fd, explain->driver_id, &address))
		return;
	pci_address_format(&address, lent);
	snprintf(ret_name, size, "%s", lent);
}

bool explain_dma_handle(struct explain *explain)
{
	if (!(explain->request->flags & P2PDMA_EXPLAIN_DMA_HANDLE))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_DMA_HANDLE, 0,
		    "a DMA handle needs ibv_reg_mr_ex(), which libibverbs or the NIC's provider "
		    "library doesn't have");
	explain_remedy(explain->out, "register without it, or with a newer rdma-core");
	return true;
}

/* Does the driver take all but this right? */
static bool is_refused(struct explain *explain, uint32_t flag)
{
	uint32_t access = explain->request->access;

	return access & flag && !explain_nic_try(explain, access & ~flag);
}

static bool look_at_access(struct explain *explain)
{
	const char *name = NULL;

	if (is_refused(explain, IBV_ACCESS_REMOTE_ATOMIC))
		name = "IBV_ACCESS_REMOTE_ATOMIC";
	else if (is_refused(explain, IBV_ACCESS_RELAXED_ORDERING))
		name = "IBV_ACCESS_RELAXED_ORDERING";
	if (!name)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_ACCESS, P2PDMA_EXPLANATION_SEEN,
		    "%s doesn't take %s for a DMABUF, and registers it without", explain->nic,
		    name);
	explain_remedy(explain->out, "leave %s out", name);
	return true;
}

bool explain_library(struct explain *explain)
{
	uint32_t driver_id;
	int r;

	/* Nothing can be tried of which it isn't known what. */
	if (explain->fd < 0 || !explain->request->length_bytes ||
	    explain_nic_driver(explain, &driver_id))
		return false;
	r = explain_nic_try(explain, explain->request->access);
	if (r == explain->error)
		return look_at_access(explain);
	/* The kernel says something else, so that it can't have been the kernel. */
	if (explain->error != -EOPNOTSUPP || explain->request->flags & P2PDMA_EXPLAIN_UVERBS)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NIC_LIBRARY, P2PDMA_EXPLANATION_SEEN,
		    "the NIC's provider library has no ibv_reg_dmabuf_mr(): the kernel %s%s on %s",
		    r ? "was never asked, and answers " : "registers it", r ? error_name(r) : "",
		    explain->nic);
	explain_remedy(explain->out,
		       "use p2pdma_mr_register(), which calls the kernel itself, or a newer "
		       "rdma-core");
	return true;
}

bool explain_function(struct explain *explain)
{
	struct pci_function function;
	struct pci_address address;
	char importer[64];
	int r;

	if (!explain->has_nic)
		return false;
	explain_nic_importer(explain, importer, sizeof(importer));
	r = pci_importer_query(explain->context->sysfs_fd, importer, &address);
	if (r == -ENXIO) {
		explain_say(explain->out, P2PDMA_CAUSE_NIC_FUNCTION, P2PDMA_EXPLANATION_SEEN,
			    "%s is on no PCI function, and peer memory is mapped for one",
			    explain->nic);
		explain_remedy(explain->out, "put rxe on a PCI network card, or name a function in "
					     "/sys/" IMPORTER_RXE_PARAMETERS "dmabuf_device");
		return true;
	}
	if (r || pci_function_query(explain->context->sysfs_fd, &address, &function) ||
	    *function.driver)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NIC_FUNCTION, P2PDMA_EXPLANATION_SEEN,
		    "the function of %s has no driver, and nothing is mapped for such a one",
		    explain->nic);
	explain_remedy(explain->out, "bind it to its driver");
	return true;
}

bool explain_unrevocable(struct explain *explain)
{
	const char *exporter = explain->out->exporter;
	bool is_ours = !strncmp(exporter, "p2pdma_export", 13);
	enum importer_revocation revocation;
	bool is_seen;

	if (!is_ours && strncmp(exporter, "vfio", 4))
		return false;
	revocation =
		importer_revocation_query(explain->context->sysfs_fd, explain->driver_id, &is_seen);
	if (revocation != IMPORTER_UNREVOCABLE)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_UNREVOCABLE, is_seen ? P2PDMA_EXPLANATION_SEEN : 0,
		    "%s (%s) can't be revoked, and %s lets only such importers in that can",
		    explain->nic, explain->out->driver, exporter);
	explain_remedy(explain->out, "%s",
		       is_ours ? "export with P2PDMA_BUFFER_ALLOW_UNREVOCABLE, for which "
				 "an administrator writes 1 to "
				 "/sys/class/p2pdma_export/*/allow_unrevocable" :
				 "export by p2pdma_export, which an administrator can allow it");
	return true;
}
