// SPDX-License-Identifier: MIT
/*
 * The configuration space of a PCI function, as far as paths depend on it: what kind of port it is,
 * how its link was trained, and whether ACS makes it redirect requests between peers.
 *
 * The kernel shows 64 bytes of it to everybody and the rest to CAP_SYS_ADMIN. So each answer
 * that needs more has a second bit, whether it is known; "no ACS capability" and "not
 * allowed to look" must never be confused. A function whose space ends at 256 bytes has no extended
 * capabilities, which everybody can tell from the size of the attribute.
 *
 * Devices may answer anything, and lists may run in circles: each walk is bounded, an offset
 * outside of the lists' part of the space ends it, as it does in the kernel. No state, no locks;
 * fuzzed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "pci_config.h"
#include "sysfs.h"

#define HEADER_SIZE		64U
#define LEGACY_SIZE		256U
#define EXTENDED_SIZE		4096U

#define REGISTER_STATUS		0x06
#define REGISTER_CLASS		0x08
#define REGISTER_CAPABILITIES	0x34
#define STATUS_HAS_CAPABILITIES 0x0010U

#define CAPABILITY_EXPRESS	0x10
#define EXPRESS_FLAGS		0x02
#define EXPRESS_LINK_CAP	0x0c
#define EXPRESS_LINK_STATUS	0x12

#define EXPRESS_CONTROL		0x08
#define CONTROL_RELAXED		0x0010U

#define EXTENDED_ACS		0x000d
#define ACS_CAPABILITY		0x04
#define ACS_CONTROL		0x06

#define EXTENDED_RESIZABLE	0x0015
#define RESIZABLE_CAPABILITY	0x04
#define RESIZABLE_CONTROL	0x08
#define RESIZABLE_NEXT		0x08
#define RESIZABLE_SMALLEST	(1ULL << 20)
#define RESIZABLE_NR_SIZES	44

/* As many as fit, so that a circle ends. */
#define MAX_CAPABILITIES	((LEGACY_SIZE - HEADER_SIZE) / 4)
#define MAX_EXTENDED		((EXTENDED_SIZE - LEGACY_SIZE) / 8)

/* What a capability at the end of the space would have behind it isn't asked for. */
static bool read_bytes(const struct pci_config_source *source, uint32_t offset, uint8_t *ret_bytes,
		       size_t size)
{
	return offset + size <= EXTENDED_SIZE &&
	       source->read(source->data, offset, ret_bytes, size);
}

static bool read_16(const struct pci_config_source *source, uint32_t offset, uint16_t *ret_value)
{
	uint8_t bytes[2];

	if (!read_bytes(source, offset, bytes, sizeof(bytes)))
		return false;
	*ret_value = (uint16_t)(bytes[0] | bytes[1] << 8);
	return true;
}

static bool read_32(const struct pci_config_source *source, uint32_t offset, uint32_t *ret_value)
{
	uint8_t bytes[4];

	if (!read_bytes(source, offset, bytes, sizeof(bytes)))
		return false;
	*ret_value = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		     (uint32_t)bytes[3] << 24;
	return true;
}

/* False: can't be known. Else where it is, 0 for nowhere. */
static bool find_capability(const struct pci_config_source *source, const uint8_t *header,
			    uint8_t id, uint32_t *ret_offset)
{
	uint32_t offset = header[REGISTER_CAPABILITIES] & ~3U;

	*ret_offset = 0;
	if (!(header[REGISTER_STATUS] & STATUS_HAS_CAPABILITIES))
		return true;
	for (size_t i = 0; i < MAX_CAPABILITIES && offset >= HEADER_SIZE; i++) {
		uint16_t entry;

		if (!read_16(source, offset, &entry))
			return false;
		if ((entry & 0xff) == 0xff)
			return true;
		if ((entry & 0xff) == id) {
			*ret_offset = offset;
			return true;
		}
		offset = entry >> 8 & ~3U;
	}
	return true;
}

static bool find_extended(const struct pci_config_source *source, uint16_t id, uint32_t *ret_offset)
{
	uint32_t offset = LEGACY_SIZE;

	*ret_offset = 0;
	if (source->size_bytes <= LEGACY_SIZE)
		return true;
	for (size_t i = 0; i < MAX_EXTENDED && offset >= LEGACY_SIZE; i++) {
		uint32_t entry;

		if (!read_32(source, offset, &entry))
			return false;
		if (!entry || entry == UINT32_MAX)
			return true;
		if ((entry & 0xffff) == id) {
			*ret_offset = offset;
			return true;
		}
		offset = entry >> 20 & 0xffcU;
	}
	return true;
}

static struct pci_link link_of(uint32_t value)
{
	struct pci_link link = {(uint8_t)(value & 0xf), (uint8_t)(value >> 4 & 0x3f)};

	/* A link that is down, or what a device that has gone answers. */
	if (!link.generation || !link.width || link.width > 32 || link.generation > 7)
		return (struct pci_link){0, 0};
	return link;
}

static void parse_express(const struct pci_config_source *source, const uint8_t *header,
			  struct pci_config *config)
{
	uint32_t offset, link_capability;
	uint16_t flags, link_status;

	if (!find_capability(source, header, CAPABILITY_EXPRESS, &offset))
		return;
	if (offset && !read_16(source, offset + EXPRESS_FLAGS, &flags))
		return;
	config->is_pcie_known = true;
	if (!offset)
		return;
	config->is_pcie = true;
	config->pcie_type = flags >> 4 & 0xf;
	if (read_32(source, offset + EXPRESS_LINK_CAP, &link_capability))
		config->max_link = link_of(link_capability);
	if (read_16(source, offset + EXPRESS_LINK_STATUS, &link_status))
		config->link = link_of(link_status);
}

static void parse_acs(const struct pci_config_source *source, struct pci_config *config)
{
	uint16_t capability = 0, control = 0;
	uint32_t offset;

	if (!find_extended(source, EXTENDED_ACS, &offset))
		return;
	if (offset && (!read_16(source, offset + ACS_CAPABILITY, &capability) ||
		       !read_16(source, offset + ACS_CONTROL, &control)))
		return;
	config->is_acs_known = true;
	config->has_acs = offset;
	config->acs_capability = capability;
	config->acs_control = control;
}

int pci_config_parse(const struct pci_config_source *source, struct pci_config *ret_config)
{
	struct pci_config config = {.is_pcie = false};
	uint8_t header[HEADER_SIZE];

	if (!source->read(source->data, 0, header, sizeof(header)))
		return -EIO;
	config.vendor_id = (uint16_t)(header[0] | header[1] << 8);
	config.device_id = (uint16_t)(header[2] | header[3] << 8);
	config.class_code = (uint32_t)header[REGISTER_CLASS + 1] |
			    (uint32_t)header[REGISTER_CLASS + 2] << 8 |
			    (uint32_t)header[REGISTER_CLASS + 3] << 16;
	parse_express(source, header, &config);
	parse_acs(source, &config);
	*ret_config = config;
	return 0;
}

static bool parse_resizable(const struct pci_config_source *source,
			    struct pci_resizable ret_bars[PCI_CONFIG_NR_BARS])
{
	uint32_t offset, capability, control, count = 1;

	if (!find_extended(source, EXTENDED_RESIZABLE, &offset))
		return false;
	for (uint32_t i = 0; offset && i < count; i++, offset += RESIZABLE_NEXT) {
		struct pci_resizable bar = {0, 0};
		uint32_t size;

		if (offset + RESIZABLE_CONTROL + sizeof(control) > EXTENDED_SIZE)
			return true;
		if (!read_32(source, offset + RESIZABLE_CAPABILITY, &capability) ||
		    !read_32(source, offset + RESIZABLE_CONTROL, &control))
			return false;
		/* The first one says how many there are. */
		if (!i)
			count = control >> 5 & 7;
		size = control >> 8 & 0x3f;
		if ((control & 7) >= PCI_CONFIG_NR_BARS || size >= RESIZABLE_NR_SIZES)
			continue;
		/* 1 MiB to 128 TiB here, and larger ones in the upper half of the control. */
		bar.sizes = (uint64_t)capability >> 4 | (uint64_t)(control >> 16) << 28;
		bar.size_bytes = RESIZABLE_SMALLEST << size;
		ret_bars[control & 7] = bar;
	}
	return true;
}

int pci_config_parse_extra(const struct pci_config_source *source, struct pci_extra *ret_extra)
{
	struct pci_extra extra = {.is_relaxed_known = false};
	uint8_t header[HEADER_SIZE];
	uint32_t offset;
	uint16_t control = 0;

	if (!source->read(source->data, 0, header, sizeof(header)))
		return -EIO;
	if (find_capability(source, header, CAPABILITY_EXPRESS, &offset) &&
	    (!offset || read_16(source, offset + EXPRESS_CONTROL, &control))) {
		extra.is_relaxed_known = true;
		extra.is_relaxed = control & CONTROL_RELAXED;
	}
	extra.is_resizable_known = parse_resizable(source, extra.bars);
	if (!extra.is_resizable_known)
		memset(extra.bars, 0, sizeof(extra.bars));
	*ret_extra = extra;
	return 0;
}

uint64_t pci_resizable_largest(const struct pci_resizable *bar)
{
	uint64_t largest = 0;

	for (unsigned int bit = 0; bit < RESIZABLE_NR_SIZES; bit++)
		if (bar->sizes >> bit & 1)
			largest = RESIZABLE_SMALLEST << bit;
	return largest;
}

static bool read_file(void *data, uint32_t offset, void *ret_bytes, size_t size)
{
	ssize_t got;

	do
		got = pread(*(const int *)data, ret_bytes, size, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)size;
}

/* What the kernel tells everybody about a link; an attribute that isn't there says nothing. */
static struct pci_link read_link(int dir_fd, const char *speed, const char *width)
{
	struct pci_link link = {0, 0};
	uint64_t lanes;
	char line[64];

	if (sysfs_read_line(dir_fd, speed, line, sizeof(line)) ||
	    sysfs_read_u64(dir_fd, width, &lanes) || !lanes || lanes > 32)
		return link;
	link.generation = pci_link_parse_speed(line);
	link.width = link.generation ? (uint8_t)lanes : 0;
	return link;
}

static int open_source(int dir_fd, int *fd, struct pci_config_source *ret_source)
{
	struct stat status;

	*fd = openat(dir_fd, "config", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	if (fstat(*fd, &status) < 0)
		return -errno;
	*ret_source = (struct pci_config_source){
		.read = read_file,
		.data = fd,
		.size_bytes = status.st_size == LEGACY_SIZE ? LEGACY_SIZE : EXTENDED_SIZE,
	};
	return 0;
}

int pci_config_query_extra(int dir_fd, struct pci_extra *ret_extra)
{
	struct pci_config_source source;
	cleanup_fd int fd = -1;
	int r;

	r = open_source(dir_fd, &fd, &source);
	return r ? r : pci_config_parse_extra(&source, ret_extra);
}

int pci_config_query(int dir_fd, struct pci_config *ret_config)
{
	struct pci_config_source source;
	cleanup_fd int fd = -1;
	int r;

	r = open_source(dir_fd, &fd, &source);
	if (!r)
		r = pci_config_parse(&source, ret_config);
	if (r || ret_config->is_pcie_known)
		return r;
	ret_config->link = read_link(dir_fd, "current_link_speed", "current_link_width");
	ret_config->max_link = read_link(dir_fd, "max_link_speed", "max_link_width");
	return 0;
}

uint64_t pci_link_bytes_per_second(struct pci_link link)
{
	/* Of one lane: 8b/10b, from 8 GT/s on 128b/130b, from 64 GT/s on flits of 242 in 256. */
	static const uint64_t lane[] = {
		0,
		250000000ULL,
		500000000ULL,
		984615384ULL,
		1969230769ULL,
		3938461538ULL,
		7562500000ULL,
		15125000000ULL,
	};

	if (link.generation >= sizeof(lane) / sizeof(lane[0]))
		return 0;
	return lane[link.generation] * link.width;
}

uint8_t pci_link_parse_speed(const char *line)
{
	static const char *const speeds[] = {"2.5", "5", "8", "16", "32", "64", "128"};
	size_t length = strcspn(line, " ");

	if (strncmp(line + length, " GT/s", 5))
		return 0;
	/* "8.0" in newer kernels, "8" in older ones. */
	if (length > 2 && !strncmp(line + length - 2, ".0", 2))
		length -= 2;
	for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++)
		if (strlen(speeds[i]) == length && !strncmp(line, speeds[i], length))
			return (uint8_t)(i + 1);
	return 0;
}
