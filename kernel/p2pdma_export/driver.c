// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI driver that does nothing with a function but offer all its memory BARs
 * through the p2pdma_export core: for devices that have no driver of their own.
 *
 * It matches no device by itself. Bind it by driver_override (or new_id):
 *
 *	echo p2pdma_export > /sys/bus/pci/devices/<dddd:bb:dd.f>/driver_override
 *	echo <dddd:bb:dd.f> > /sys/bus/pci/drivers_probe
 *
 * Bus mastering stays off: whoever reaches the registers in a BAR can't make
 * the device read or write memory on its own, or send interrupts.
 */
#include <linux/module.h>
#include <linux/p2pdma_export.h>
#include <linux/pci.h>
#include <linux/pm.h>

static int p2pdma_export_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct p2pdma_export_dev *pe;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_clear_master(pdev);
	ret = pcim_request_all_regions(pdev, KBUILD_MODNAME);
	if (ret)
		return ret;
	pe = p2pdma_export_register(pdev, P2PDMA_EXPORT_ALL_BARS);
	if (IS_ERR(pe))
		return dev_err_probe(&pdev->dev, PTR_ERR(pe), "no BAR can be exported\n");
	pci_set_drvdata(pdev, pe);
	/* For error recovery: what slot_reset() restores. */
	pci_save_state(pdev);
	return 0;
}

static void p2pdma_export_remove(struct pci_dev *pdev)
{
	p2pdma_export_unregister(pci_get_drvdata(pdev));
}

static void p2pdma_export_shutdown(struct pci_dev *pdev)
{
	if (p2pdma_export_quiesce(pci_get_drvdata(pdev), P2PDMA_EXPORT_REASON_SHUTDOWN, 0))
		pci_warn(pdev, "goes down while an importer that can't be revoked uses it\n");
}

static int p2pdma_export_suspend(struct device *dev)
{
	struct p2pdma_export_dev *pe = dev_get_drvdata(dev);
	int ret;

	ret = p2pdma_export_quiesce(pe, P2PDMA_EXPORT_REASON_SUSPEND, 0);
	if (ret) {
		dev_warn(dev, "can't be suspended: an importer can't be revoked\n");
		p2pdma_export_resume(pe, P2PDMA_EXPORT_REASON_SUSPEND);
	}
	return ret;
}

static int p2pdma_export_pm_resume(struct device *dev)
{
	p2pdma_export_resume(dev_get_drvdata(dev), P2PDMA_EXPORT_REASON_SUSPEND);
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(p2pdma_export_pm_ops, p2pdma_export_suspend,
				p2pdma_export_pm_resume);

static void p2pdma_export_reset_prepare(struct pci_dev *pdev)
{
	p2pdma_export_quiesce(pci_get_drvdata(pdev), P2PDMA_EXPORT_REASON_RESET,
			      P2PDMA_EXPORT_QUIESCE_WAIT);
}

static void p2pdma_export_reset_done(struct pci_dev *pdev)
{
	/* A reset mends what error recovery could not. */
	p2pdma_export_resume(pci_get_drvdata(pdev), P2PDMA_EXPORT_REASON_ERROR);
	p2pdma_export_resume(pci_get_drvdata(pdev), P2PDMA_EXPORT_REASON_RESET);
}

static pci_ers_result_t p2pdma_export_error_detected(struct pci_dev *pdev,
						     pci_channel_state_t state)
{
	p2pdma_export_quiesce(pci_get_drvdata(pdev), P2PDMA_EXPORT_REASON_ERROR, 0);
	if (state == pci_channel_io_perm_failure)
		return PCI_ERS_RESULT_DISCONNECT;
	return state == pci_channel_io_frozen ? PCI_ERS_RESULT_NEED_RESET :
						PCI_ERS_RESULT_CAN_RECOVER;
}

static pci_ers_result_t p2pdma_export_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	pci_save_state(pdev);
	pci_clear_master(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static void p2pdma_export_error_resume(struct pci_dev *pdev)
{
	p2pdma_export_resume(pci_get_drvdata(pdev), P2PDMA_EXPORT_REASON_ERROR);
}

static const struct pci_error_handlers p2pdma_export_err_handler = {
	.reset_prepare = p2pdma_export_reset_prepare,
	.reset_done = p2pdma_export_reset_done,
	.error_detected = p2pdma_export_error_detected,
	.slot_reset = p2pdma_export_slot_reset,
	.resume = p2pdma_export_error_resume,
};

static struct pci_driver p2pdma_export_driver = {
	.name = "p2pdma_export",
	.probe = p2pdma_export_probe,
	.remove = p2pdma_export_remove,
	.shutdown = p2pdma_export_shutdown,
	.err_handler = &p2pdma_export_err_handler,
	/* It starts no DMA, so siblings in its IOMMU group may belong to userspace. */
	.driver_managed_dma = true,
	.driver.pm = pm_sleep_ptr(&p2pdma_export_pm_ops),
};
module_pci_driver(p2pdma_export_driver);

MODULE_DESCRIPTION("Offers the BARs of any PCI function as revocable DMABUFs");
MODULE_AUTHOR("The libp2pdma authors");
MODULE_LICENSE("GPL");
