/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * p2pdma_export core: lets any PCI driver offer the memory BARs of its function
 * to userspace as revocable DMABUFs.
 */
#ifndef _LINUX_P2PDMA_EXPORT_H
#define _LINUX_P2PDMA_EXPORT_H

#include <linux/bits.h>
#include <uapi/linux/p2pdma_export.h>

struct pci_dev;
struct p2pdma_export_dev;

#define P2PDMA_EXPORT_ALL_BARS	GENMASK(P2PDMA_EXPORT_MAX_BARS - 1, 0)

/**
 * p2pdma_export_register() - offer a function's memory BARs to userspace
 * @pdev: the function; enabled, its regions claimed by the calling driver,
 *	which must be the one bound to it
 * @bars: mask of the BAR numbers to offer. A BAR that holds registers which
 *	only the driver may touch must not be in it. BARs that can't be exported
 *	(I/O ports, less than a page, not page aligned) are left out silently.
 *
 * Takes the function's p2pdma providers and makes the character device
 * /dev/p2pdma/<dddd:bb:dd.f>. To be called from probe(), as the last step.
 *
 * Context: process context, may sleep.
 * Return: the handle for the other calls; ERR_PTR(-ENODEV) where no BAR can be
 * exported, -EOPNOTSUPP where the architecture or the function rules out
 * peer-to-peer, -ENOMEM, -ENOSPC.
 */
struct p2pdma_export_dev *p2pdma_export_register(struct pci_dev *pdev, unsigned long bars);

/**
 * p2pdma_export_unregister() - take the BARs back for good
 * @pe: from p2pdma_export_register(); invalid afterwards
 *
 * Revokes every export and returns when no CPU and no device can reach the BARs
 * through them. That takes as long as importers need to unmap; an importer that
 * can't be revoked (which only an administrator could let in) is waited for
 * without limit, the export's owner is told
 * (P2PDMA_EXPORT_EVENT_REMOVAL_PENDING) and the log names the importer. To be
 * called from remove(), as the first step.
 *
 * Context: process context, sleeps; the device lock of @pdev may be held.
 */
void p2pdma_export_unregister(struct p2pdma_export_dev *pe);

/* Wait for importers that can't be revoked, however long it takes. */
#define P2PDMA_EXPORT_QUIESCE_WAIT	BIT(0)

/**
 * p2pdma_export_quiesce() - take all exports back and refuse new ones
 * @pe: from p2pdma_export_register()
 * @reason: what userspace is told
 * @flags: P2PDMA_EXPORT_QUIESCE_WAIT or 0
 *
 * For reset_prepare(), suspend() and shutdown(). What was revoked stays
 * revoked; new exports are possible after p2pdma_export_resume() for each reason
 * that this was called for, whatever it returned. Calling it again for the same
 * reason changes nothing.
 *
 * Context: process context, sleeps.
 * Return: 0 when nothing reaches the BARs any more; -EBUSY when an importer that
 * can't be revoked still does and P2PDMA_EXPORT_QUIESCE_WAIT was not given.
 */
int p2pdma_export_quiesce(struct p2pdma_export_dev *pe, enum p2pdma_export_reason reason,
			  unsigned long flags);

/**
 * p2pdma_export_resume() - allow new exports again
 * @pe: from p2pdma_export_register()
 * @reason: of p2pdma_export_quiesce(); nothing happens when there was none
 *
 * Context: process context, may sleep.
 */
void p2pdma_export_resume(struct p2pdma_export_dev *pe, enum p2pdma_export_reason reason);

#endif /* _LINUX_P2PDMA_EXPORT_H */
