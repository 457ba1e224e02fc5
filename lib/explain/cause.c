// SPDX-License-Identifier: MIT
/*
 * Causes: their names, where the manual speaks of them, and how one is put into words.
 *
 * No state, no locks.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "explain.h"

/* Headings of p2pdma_explain.3; check-man compares. */
static const char descriptors[] = "p2pdma_explain(3), Descriptors";
static const char ranges[] = "p2pdma_explain(3), Ranges and addresses";
static const char access_flags[] = "p2pdma_explain(3), Access";
static const char revocations[] = "p2pdma_explain(3), Revocations";
static const char exporting[] = "p2pdma_explain(3), Exporting";
static const char mapping[] = "p2pdma_explain(3), Mapping";
static const char paths[] = "p2pdma_explain(3), Paths";
static const char others[] = "p2pdma_explain(3), Other importers";
static const char sources[] = "p2pdma_explain(3), Sources of memory";
static const char importers[] = "p2pdma_explain(3), RDMA devices";
static const char unrevocable[] = "p2pdma_explain(3), Revocable importers";
static const char privileges[] = "p2pdma_explain(3), Privileges";
static const char limits[] = "p2pdma_explain(3), Limits";
static const char unknown[] = "p2pdma_explain(3), What stays unknown";

static const struct {
	const char *name;
	const char *section;
} causes[] = {
	[P2PDMA_CAUSE_UNKNOWN] = {"unknown", unknown},
	[P2PDMA_CAUSE_BAD_FD] = {"bad-fd", descriptors},
	[P2PDMA_CAUSE_NOT_DMABUF] = {"not-dmabuf", descriptors},
	[P2PDMA_CAUSE_RANGE] = {"range", ranges},
	[P2PDMA_CAUSE_IOVA] = {"iova", ranges},
	[P2PDMA_CAUSE_ACCESS] = {"access", access_flags},
	[P2PDMA_CAUSE_READ_ONLY] = {"read-only", access_flags},
	[P2PDMA_CAUSE_NOT_DEVICE] = {"not-device", descriptors},
	[P2PDMA_CAUSE_NO_OBJECT] = {"no-object", descriptors},
	[P2PDMA_CAUSE_IOVA_TAKEN] = {"iova-taken", others},
	[P2PDMA_CAUSE_ADDRESS] = {"address", sources},
	[P2PDMA_CAUSE_REVOKED] = {"revoked", revocations},
	[P2PDMA_CAUSE_DEVICE_GONE] = {"device-gone", revocations},
	[P2PDMA_CAUSE_DECODE_OFF] = {"decode-off", revocations},
	[P2PDMA_CAUSE_ENDED] = {"ended", revocations},
	[P2PDMA_CAUSE_NOT_EXPORTABLE] = {"not-exportable", exporting},
	[P2PDMA_CAUSE_BUSY] = {"busy", exporting},
	[P2PDMA_CAUSE_NO_MMAP] = {"no-mmap", mapping},
	[P2PDMA_CAUSE_CACHING] = {"caching", mapping},
	[P2PDMA_CAUSE_DEVICE_MAPPING] = {"device-mapping", mapping},
	[P2PDMA_CAUSE_NOT_MAPPED] = {"not-mapped", mapping},
	[P2PDMA_CAUSE_NO_ROOM] = {"no-room", sources},
	[P2PDMA_CAUSE_FRAGMENTED] = {"fragmented", sources},
	[P2PDMA_CAUSE_MAKER_REFUSES] = {"maker-refuses", sources},
	[P2PDMA_CAUSE_PATH] = {"path", paths},
	[P2PDMA_CAUSE_UNREVOCABLE] = {"unrevocable", unrevocable},
	[P2PDMA_CAUSE_IOMMU_RANGES] = {"iommu-ranges", paths},
	[P2PDMA_CAUSE_NIC_GONE] = {"nic-gone", importers},
	[P2PDMA_CAUSE_NIC_DRIVER] = {"nic-driver", importers},
	[P2PDMA_CAUSE_NIC_LIBRARY] = {"nic-library", importers},
	[P2PDMA_CAUSE_NIC_ODP] = {"nic-odp", importers},
	[P2PDMA_CAUSE_NIC_FUNCTION] = {"nic-function", importers},
	[P2PDMA_CAUSE_NIC_LIMIT] = {"nic-limit", limits},
	[P2PDMA_CAUSE_NIC_REFUSES] = {"nic-refuses", unknown},
	[P2PDMA_CAUSE_DMA_HANDLE] = {"dma-handle", importers},
	[P2PDMA_CAUSE_EXPORTER] = {"exporter", others},
	[P2PDMA_CAUSE_RANGES] = {"ranges", others},
	[P2PDMA_CAUSE_NO_PEER] = {"no-peer", others},
	[P2PDMA_CAUSE_IMPORTER_REFUSES] = {"importer-refuses", others},
	[P2PDMA_CAUSE_NO_METHOD] = {"no-method", importers},
	[P2PDMA_CAUSE_PERMISSION] = {"permission", privileges},
	[P2PDMA_CAUSE_SANDBOX] = {"sandbox", privileges},
	[P2PDMA_CAUSE_MEMLOCK] = {"memlock", limits},
	[P2PDMA_CAUSE_OPEN_FILES] = {"open-files", limits},
	[P2PDMA_CAUSE_SYSTEM_FILES] = {"system-files", limits},
	[P2PDMA_CAUSE_MAPPINGS] = {"mappings", limits},
	[P2PDMA_CAUSE_ADDRESS_SPACE] = {"address-space", limits},
	[P2PDMA_CAUSE_CGROUP] = {"cgroup", limits},
	[P2PDMA_CAUSE_NO_MEMORY] = {"no-memory", limits},
	[P2PDMA_CAUSE_SIZE_LIMIT] = {"size-limit", limits},
	[P2PDMA_CAUSE_CLOSED_DRIVER] = {"closed-driver", sources},
};

#define NR_CAUSES (sizeof(causes) / sizeof(*causes))

const char *p2pdma_cause_name(uint32_t cause)
{
	const char *name = cause < NR_CAUSES ? causes[cause].name : NULL;

	return name ? name : causes[P2PDMA_CAUSE_UNKNOWN].name;
}

bool explain_say(struct p2pdma_explanation *out, uint32_t cause, uint32_t flags, const char *format,
		 ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out->sentence, sizeof(out->sentence), format, arguments);
	va_end(arguments);
	out->cause = cause;
	out->flags = flags;
	out->remedy[0] = '\0';
	snprintf(out->section, sizeof(out->section), "%s", causes[cause].section);
	return true;
}

void explain_remedy(struct p2pdma_explanation *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out->remedy, sizeof(out->remedy), format, arguments);
	va_end(arguments);
}

bool explain_beyond(struct p2pdma_explanation *out, uint64_t offset_bytes, uint64_t length_bytes,
		    const char *name, uint64_t size_bytes)
{
	if (offset_bytes <= size_bytes && length_bytes <= size_bytes - offset_bytes)
		return false;
	return explain_say(out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
			   "0x%" PRIx64 " bytes at 0x%" PRIx64
			   " pass the end of %s, which has 0x%" PRIx64,
			   length_bytes, offset_bytes, name, size_bytes);
}
