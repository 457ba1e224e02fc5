/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PCI_CONFIG_H
#define COMMON_PCI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PCI_EXP_TYPE_* of <linux/pci_regs.h>. */
#define PCI_CONFIG_ENDPOINT	    0x0
#define PCI_CONFIG_ROOT_PORT	    0x4
#define PCI_CONFIG_UPSTREAM_PORT    0x5
#define PCI_CONFIG_DOWNSTREAM_PORT  0x6

/* What of a port's ACS control makes it send requests between peers upwards. */
#define PCI_ACS_REQUEST_REDIRECT    0x0004U
#define PCI_ACS_COMPLETION_REDIRECT 0x0008U
#define PCI_ACS_EGRESS_CONTROL	    0x0020U
#define PCI_ACS_REDIRECTS                                                                          \
	(PCI_ACS_REQUEST_REDIRECT | PCI_ACS_COMPLETION_REDIRECT | PCI_ACS_EGRESS_CONTROL)

/* A PCIe link; 0: none, or unknown. */
struct pci_link {
	uint8_t generation; /* 1: 2.5 GT/s ... 6: 64 GT/s */
	uint8_t width;	    /* lanes */
};

/* What of a function's configuration space a path depends on. */
struct pci_config {
	uint16_t vendor_id;
	uint16_t device_id;
	uint32_t class_code; /* 0xCCSSPP */

	bool is_pcie_known; /* false: whoever reads has no right to see the capabilities */
	bool is_pcie;
	uint8_t pcie_type;
	struct pci_link link;	  /* as it is trained */
	struct pci_link max_link; /* as this end could */

	bool is_acs_known;
	bool has_acs;
	uint16_t acs_capability;
	uint16_t acs_control;
};

#define PCI_CONFIG_NR_BARS 6

/* A BAR whose size can be changed; all zero: one that can't. */
struct pci_resizable {
	uint64_t sizes;	     /* bit n: 1 MiB << n */
	uint64_t size_bytes; /* as it is set */
};

/* What of it nothing depends on, but people should know. */
struct pci_extra {
	bool is_relaxed_known;
	bool is_relaxed; /* it may send requests with relaxed ordering */
	bool is_resizable_known;
	struct pci_resizable bars[PCI_CONFIG_NR_BARS];
};

/*
 * Where it comes from. Reading is by single registers, because on hardware each costs about a
 * microsecond and a whole space has a thousand.
 */
struct pci_config_source {
	/* False: not all of it can be read. */
	bool (*read)(void *data, uint32_t offset, void *ret_bytes, size_t size);
	void *data;
	uint32_t size_bytes; /* of the space, whether it can be read or not: 256 or 4096 */
};

/* -EIO: not even the first 64 bytes. Takes any bytes; what makes no sense isn't there. */
int pci_config_parse(const struct pci_config_source *source, struct pci_config *ret_config);

int pci_config_parse_extra(const struct pci_config_source *source, struct pci_extra *ret_extra);
/* The largest of its sizes; 0: none. */
uint64_t pci_resizable_largest(const struct pci_resizable *bar);

/* The `config` attribute in the directory @dir_fd. */
int pci_config_query(int dir_fd, struct pci_config *ret_config);
int pci_config_query_extra(int dir_fd, struct pci_extra *ret_extra);

/* What a link carries at most, its encoding taken off; 0: unknown. */
uint64_t pci_link_bytes_per_second(struct pci_link link);

/* "16.0 GT/s PCIe" of current_link_speed; 0: none. */
uint8_t pci_link_parse_speed(const char *line);

#endif /* COMMON_PCI_CONFIG_H */
