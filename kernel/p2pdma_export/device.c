// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registered functions and their character devices.
 *
 * States of a device: live, quiesced (no new exports; for one or more reasons,
 * since a reset may happen inside a suspend), gone. Gone is final: the structure then only waits
 * for the files and DMABUFs that still refer to it. The function itself
 * (pe->pdev) is used under pe->lock while the device isn't gone, and by mappings
 * under the resv lock of an export that isn't revoked; unregister ends both
 * before it returns.
 */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "core.h"

#define P2PE_MINORS	(MINORMASK + 1)

static dev_t p2pe_first_devt;
static DEFINE_IDA(p2pe_minors);
static atomic64_t p2pe_generation;

static char *p2pe_devnode(const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, P2PDMA_EXPORT_DIR "/%s", dev_name(dev));
}

const struct class p2pe_class = {
	.name = "p2pdma_export",
	.devnode = p2pe_devnode,
	.dev_groups = p2pe_groups,
};

static void p2pe_device_release(struct device *dev)
{
	struct p2pdma_export_dev *pe = container_of(dev, struct p2pdma_export_dev, dev);

	ida_free(&p2pe_minors, MINOR(dev->devt));
	xa_destroy(&pe->exports);
	mutex_destroy(&pe->cpu_lock);
	mutex_destroy(&pe->lock);
	kfree(pe);
}

struct p2pdma_export_dev *p2pe_device_open(struct cdev *cdev)
{
	return container_of(cdev, struct p2pdma_export_dev, cdev);
}

/* Which of the @wanted BARs can be exported at all. */
static unsigned long p2pe_usable_bars(struct pci_dev *pdev, unsigned long wanted)
{
	unsigned long bars = 0;
	unsigned long bar;

	BUILD_BUG_ON(P2PDMA_EXPORT_MAX_BARS != PCI_STD_NUM_BARS);
	for_each_set_bit(bar, &wanted, PCI_STD_NUM_BARS) {
		if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) ||
		    pci_resource_flags(pdev, bar) & IORESOURCE_UNSET ||
		    !pci_resource_n(pdev, bar)->parent || !pci_resource_len(pdev, bar) ||
		    !PAGE_ALIGNED(pci_resource_start(pdev, bar)) ||
		    !PAGE_ALIGNED(pci_resource_len(pdev, bar)))
			continue;
		if (pcim_p2pdma_provider(pdev, bar))
			bars |= BIT(bar);
	}
	return bars;
}

static struct p2pdma_export_dev *p2pe_device_new(struct pci_dev *pdev, unsigned long bars)
{
	struct p2pdma_export_dev *pe;
	int minor;

	pe = kzalloc_obj(*pe, GFP_KERNEL);
	if (!pe)
		return ERR_PTR(-ENOMEM);
	minor = ida_alloc_max(&p2pe_minors, P2PE_MINORS - 1, GFP_KERNEL);
	if (minor < 0) {
		kfree(pe);
		return ERR_PTR(minor);
	}
	pe->pdev = pdev;
	pe->bars = bars;
	pe->generation = atomic64_inc_return(&p2pe_generation);
	mutex_init(&pe->lock);
	xa_init(&pe->exports);
	INIT_LIST_HEAD(&pe->files);
	mutex_init(&pe->cpu_lock);
	INIT_LIST_HEAD(&pe->cpu_mapped);
	device_initialize(&pe->dev);
	pe->dev.class = &p2pe_class;
	pe->dev.parent = &pdev->dev;
	pe->dev.release = p2pe_device_release;
	pe->dev.devt = MKDEV(MAJOR(p2pe_first_devt), minor);
	cdev_init(&pe->cdev, &p2pe_fops);
	pe->cdev.owner = THIS_MODULE;
	return pe;
}

struct p2pdma_export_dev *p2pdma_export_register(struct pci_dev *pdev, unsigned long bars)
{
	struct p2pdma_export_dev *pe;
	int ret;

	device_lock_assert(&pdev->dev);
	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ERR_PTR(ret);
	bars = p2pe_usable_bars(pdev, bars);
	if (!bars)
		return ERR_PTR(-ENODEV);

	pe = p2pe_device_new(pdev, bars);
	if (IS_ERR(pe))
		return pe;
	ret = dev_set_name(&pe->dev, "%s", pci_name(pdev));
	if (ret)
		goto err_put;
	ret = cdev_device_add(&pe->cdev, &pe->dev);
	if (ret)
		goto err_put;
	return pe;

err_put:
	put_device(&pe->dev);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(p2pdma_export_register);

void p2pdma_export_unregister(struct p2pdma_export_dev *pe)
{
	struct p2pe_file *file;

	/* No new opens. Files that are open go on until is_gone stops them. */
	cdev_device_del(&pe->cdev, &pe->dev);

	mutex_lock(&pe->lock);
	pe->is_gone = true;
	mutex_unlock(&pe->lock);
	p2pe_revoke_device(pe, P2PDMA_EXPORT_REASON_REMOVE, true);

	mutex_lock(&pe->lock);
	pe->pdev = NULL;
	list_for_each_entry(file, &pe->files, entry)
		p2pe_events_post(file->events, P2PDMA_EXPORT_EVENT_GONE, 0,
				 P2PDMA_EXPORT_REASON_REMOVE, NULL);
	mutex_unlock(&pe->lock);
	put_device(&pe->dev);
}
EXPORT_SYMBOL_GPL(p2pdma_export_unregister);

int p2pdma_export_quiesce(struct p2pdma_export_dev *pe, enum p2pdma_export_reason reason,
			  unsigned long flags)
{
	mutex_lock(&pe->lock);
	pe->quiesced |= BIT(reason);
	mutex_unlock(&pe->lock);
	return p2pe_revoke_device(pe, reason, flags & P2PDMA_EXPORT_QUIESCE_WAIT);
}
EXPORT_SYMBOL_GPL(p2pdma_export_quiesce);

void p2pdma_export_resume(struct p2pdma_export_dev *pe, enum p2pdma_export_reason reason)
{
	mutex_lock(&pe->lock);
	pe->quiesced &= ~BIT(reason);
	mutex_unlock(&pe->lock);
}
EXPORT_SYMBOL_GPL(p2pdma_export_resume);

static int __init p2pe_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&p2pe_first_devt, 0, P2PE_MINORS, "p2pdma_export");
	if (ret)
		return ret;
	ret = class_register(&p2pe_class);
	if (ret)
		unregister_chrdev_region(p2pe_first_devt, P2PE_MINORS);
	return ret;
}
module_init(p2pe_init);

static void __exit p2pe_exit(void)
{
	class_unregister(&p2pe_class);
	unregister_chrdev_region(p2pe_first_devt, P2PE_MINORS);
	ida_destroy(&p2pe_minors);
}
module_exit(p2pe_exit);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_DESCRIPTION("PCI BARs as revocable DMABUFs for peer-to-peer DMA (core)");
MODULE_AUTHOR("The libp2pdma authors");
MODULE_LICENSE("GPL");
