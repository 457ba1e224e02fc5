// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a file can ask about its function, changing nothing: what it is, and
 * whether a would-be importer could map its memory.
 *
 * Whether the kernel maps, and at which distance, is the kernel's own answer
 * (pci_p2pdma_distance()). How it maps isn't told to modules; for a path that
 * the kernel accepts it follows from the topology: bus addresses are used just
 * where both functions sit below one upstream bridge and no port between them
 * redirects peer requests upwards (ACS).
 */
#include "core.h"

static void p2pe_info_bars(struct p2pdma_export_dev *pe, struct p2pdma_export_info *info)
{
	struct pci_dev *pdev = pe->pdev;
	unsigned int bar;

	for (bar = 0; bar < P2PDMA_EXPORT_MAX_BARS; bar++) {
		unsigned long flags = pci_resource_flags(pdev, bar);

		if (!(flags & IORESOURCE_MEM))
			continue;
		info->bars[bar].size = pci_resource_len(pdev, bar);
		if (pe->bars & BIT(bar))
			info->bars[bar].flags |= P2PDMA_EXPORT_BAR_EXPORTABLE;
		if (flags & IORESOURCE_MEM_64)
			info->bars[bar].flags |= P2PDMA_EXPORT_BAR_64BIT;
		if (flags & IORESOURCE_PREFETCH)
			info->bars[bar].flags |= P2PDMA_EXPORT_BAR_PREFETCHABLE;
	}
}

static void p2pe_info_exports(struct p2pdma_export_dev *pe, struct p2pdma_export_info *info)
{
	struct p2pe_export *exp;
	unsigned long serial;

	xa_for_each(&pe->exports, serial, exp) {
		info->nr_exports++;
		spin_lock(&exp->lock);
		if (!exp->is_revoked)
			info->exported_bytes += exp->size;
		spin_unlock(&exp->lock);
	}
}

int p2pe_info(struct p2pe_file *file, struct p2pdma_export_info *info)
{
	struct p2pdma_export_dev *pe = file->pe;
	struct pci_dev *pdev;

	if (info->flags || info->reserved)
		return -EINVAL;
	*info = (struct p2pdma_export_info){
		.argsz = info->argsz,
		.features = P2PDMA_EXPORT_FEATURE_MMAP_WC | P2PDMA_EXPORT_FEATURE_MAP_TYPE,
		.page_size = PAGE_SIZE,
		.max_ranges = P2PDMA_EXPORT_MAX_RANGES,
		.generation = pe->generation,
	};

	if (P2PE_CAN_TELL_REVOCABLE)
		info->features |= P2PDMA_EXPORT_FEATURE_REVOCABLE_QUERY;

	mutex_lock(&pe->lock);
	if (pe->is_gone) {
		mutex_unlock(&pe->lock);
		return -ENODEV;
	}
	pdev = pe->pdev;
	if (pe->quiesced)
		info->flags |= P2PDMA_EXPORT_INFO_QUIESCED;
	info->domain = pci_domain_nr(pdev->bus);
	info->bus = pdev->bus->number;
	info->devfn = pdev->devfn;
	info->numa_node = dev_to_node(&pdev->dev);
	info->vendor = pdev->vendor;
	info->device = pdev->device;
	p2pe_info_bars(pe, info);
	p2pe_info_exports(pe, info);
	mutex_unlock(&pe->lock);
	return 0;
}

static bool p2pe_path_redirects(struct pci_dev *port)
{
	u16 control;

	if (!port->acs_cap ||
	    pci_read_config_word(port, port->acs_cap + PCI_ACS_CTRL, &control))
		return false;
	return control & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

static bool p2pe_path_is_above(struct pci_dev *port, struct pci_dev *pdev)
{
	while (pdev && pdev != port)
		pdev = pci_upstream_bridge(pdev);
	return pdev;
}

/* For a path that the kernel accepts. */
static u32 p2pe_path_map_type(struct pci_dev *provider, struct pci_dev *client)
{
	struct pci_dev *port, *common;

	for (common = provider; common; common = pci_upstream_bridge(common)) {
		if (p2pe_path_redirects(common))
			return P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE;
		if (p2pe_path_is_above(common, client))
			break;
	}
	if (!common)
		return P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE;
	for (port = client; port != common; port = pci_upstream_bridge(port))
		if (p2pe_path_redirects(port))
			return P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE;
	return P2PDMA_EXPORT_MAP_BUS_ADDR;
}

int p2pe_path(struct p2pe_file *file, struct p2pdma_export_path *path)
{
	struct p2pdma_export_dev *pe = file->pe;
	struct pci_dev *client;
	int ret = 0;

	if (path->flags || path->reserved || path->client_domain > INT_MAX ||
	    path->client_bus > U8_MAX || path->client_devfn > U8_MAX)
		return -EINVAL;
	client = pci_get_domain_bus_and_slot(path->client_domain, path->client_bus,
					     path->client_devfn);
	if (!client)
		return -ENXIO;

	mutex_lock(&pe->lock);
	if (pe->is_gone) {
		ret = -ENODEV;
	} else {
		path->distance = pci_p2pdma_distance(pe->pdev, &client->dev, false);
		path->map_type = path->distance < 0 ?
					 P2PDMA_EXPORT_MAP_NOT_SUPPORTED :
					 p2pe_path_map_type(pe->pdev, client);
	}
	mutex_unlock(&pe->lock);
	pci_dev_put(client);
	return ret;
}
