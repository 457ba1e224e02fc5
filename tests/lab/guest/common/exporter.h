/* SPDX-License-Identifier: MIT */
/*
 * Where a DMABUF comes from, without the library: our module, VFIO, or system
 * memory (udmabuf, a dma-heap).
 */
#ifndef LAB_EXPORTER_H
#define LAB_EXPORTER_H

#include <stdbool.h>
#include <stdint.h>

enum exporter_kind {
	EXPORTER_EXPORT,
	EXPORTER_VFIO,
	EXPORTER_UDMABUF,
	EXPORTER_HEAP
};

struct exporter {
	enum exporter_kind kind;
	char bdf[16];
	unsigned int bar;
	/* The device node, or the VFIO device; -1 for system memory. */
	int fd;
	int group;
	int container;
	/* VFIO: where the BAR and the configuration space lie in @fd. */
	uint64_t bar_offset;
	uint64_t config_offset;
};

struct slice {
	int fd;
	uint32_t id;
	uint64_t offset;
	uint64_t length;
};

/*
 * @spec: export:0000:01:00.0/2, vfio:0000:01:00.0/2, udmabuf or heap. Returns 0
 * or -errno; -EINVAL for a spec that isn't one.
 */
int exporter_open(const char *spec, struct exporter *ret_exporter);
void exporter_close(struct exporter *exporter);
bool exporter_is_peer(const struct exporter *exporter);

/* A DMABUF of one range; @flags are P2PDMA_EXPORT_F_*, for our module only. */
int exporter_slice(struct exporter *exporter, uint64_t offset, uint64_t length, uint32_t flags,
		   struct slice *ret_slice);
/* The slice's bytes for the CPU, or NULL. exporter_unmap() undoes it. */
void *exporter_map(struct exporter *exporter, const struct slice *slice);
void exporter_unmap(void *memory, const struct slice *slice);

/*
 * Take the slice back: "ioctl", "all", "close", "unbind", "remove", "reset",
 * "decode-off" (VFIO), "fd-close" (drops the DMABUF; revokes nothing).
 * -EOPNOTSUPP where this exporter has no such way. @ret_ns: how long it took.
 */
int exporter_revoke(struct exporter *exporter, struct slice *slice, const char *way,
		    int64_t *ret_ns);

/* What the kernel says of the path from @client (a PCI address) to the BAR; our module only. */
int exporter_path(struct exporter *exporter, const char *client, uint32_t *ret_map_type,
		  int32_t *ret_distance);
const char *map_type_name(uint32_t map_type);

#endif /* LAB_EXPORTER_H */
