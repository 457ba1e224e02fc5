// SPDX-License-Identifier: MIT
/*
 * Memory of ROCm, by its HSA runtime (libhsa-runtime64.so.1), which HIP and OpenCL are built on.
 *
 * What is declared here is the part of that library's interface that is used, in our own words.
 * Each fact was taken from the documentation in hsa.h and hsa_ext_amd.h of ROCm 6.1 and
 * compared with the runtime's sources; tests/unit/test_runtime_abi.c compares with the
 * headers where they are installed. That a property is the number of a bit, not a mask, is what the
 * runtime's source does. The export with flags came with version 1.9 of the
 * extension; without it only the plain one is there.
 *
 * An export is of the whole buffer object, and the runtime says at which offset in it the
 * address lies. hsa_amd_pointer_info() says whose the memory is: that
 * of a CPU's pool, memory of the program that was locked for a GPU, and that of an
 * APU is the machine's. HSA counts nothing for us: a runtime that the program has
 * shut down knows no address any more. The descriptor goes back by the
 * runtime's own call.
 *
 * Any thread; the library locks itself.
 */
#include <errno.h>
#include <stdio.h>

#include "buffer/buffer.h"
#include "buffer/memory.h"
#include "runtime.h"
#include "hsa_abi.h"

static struct {
	int (*status_string)(int status, const char **text);
	int (*agent_info)(struct hsa_agent agent, int attribute, void *value);
	int (*pointer_info)(const void *pointer, struct hsa_pointer_info *info,
			    void *(*allocate)(size_t size), uint32_t *nr_accessible,
			    struct hsa_agent **accessible);
	int (*export)(const void *pointer, size_t size, int *fd, uint64_t *offset);
	int (*export_flags)(const void *pointer, size_t size, int *fd, uint64_t *offset,
			    uint64_t flags);
	int (*close)(int fd);
} hsa;

static bool is_ready;

static const char *const sonames[] = {"libhsa-runtime64.so.1", "libhsa-runtime64.so", NULL};

static const struct runtime_symbol symbols[] = {
	{"hsa_status_string", &hsa.status_string, false},
	{"hsa_agent_get_info", &hsa.agent_info, false},
	{"hsa_amd_pointer_info", &hsa.pointer_info, false},
	{"hsa_amd_portable_export_dmabuf", &hsa.export, false},
	{"hsa_amd_portable_export_dmabuf_v2", &hsa.export_flags, true},
	{"hsa_amd_portable_close_dmabuf", &hsa.close, false},
	{NULL, NULL, false},
};

static int error_of(int status)
{
	switch (status) {
	case HSA_INVALID_ARGUMENT:
	case HSA_INVALID_ALLOCATION:
		return -EINVAL;
	case HSA_INVALID_AGENT:
		return -EOPNOTSUPP;
	case HSA_OUT_OF_RESOURCES:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int fail(struct p2pdma_context *context, const struct runtime_request *request,
		const char *what, int status)
{
	const char *name = NULL;
	char text[192];

	if (hsa.status_string(status, &name) || !name)
		name = "an unknown error";
	snprintf(text, sizeof(text), "HSA %s, %s", what, name);
	return runtime_failed(context, P2PDMA_BACKEND_HSA, request, error_of(status), text);
}

static const char *system_of(const struct hsa_pointer_info *info)
{
	uint8_t properties[8] = {0};
	int device = -1;

	if (info->type == HSA_POINTER_LOCKED)
		return "memory of the program that is locked for a GPU";
	if (hsa.agent_info(info->owner, HSA_AGENT_DEVICE, &device))
		return "memory of a device that the runtime doesn't show";
	if (device == HSA_DEVICE_CPU)
		return "memory of a pool of the CPU";
	/* Older runtimes don't know the attribute. */
	if (!hsa.agent_info(info->owner, HSA_AGENT_MEMORY_PROPERTIES, properties) &&
	    properties[HSA_PROPERTY_IS_APU / 8] & 1U << HSA_PROPERTY_IS_APU % 8)
		return "memory of an APU, which shares it with the machine";
	return NULL;
}

static int find(struct p2pdma_context *context, const struct runtime_request *request,
		struct runtime_memory *ret_memory)
{
	struct hsa_pointer_info info = {.size = sizeof(info)};
	struct runtime_memory memory = {.page_size_bytes = context->page_size_bytes};
	int status;

	status = hsa.pointer_info((const void *)(uintptr_t)request->address, &info, NULL, NULL,
				  NULL);
	if (status == HSA_NOT_INITIALIZED || (!status && info.type == HSA_POINTER_UNKNOWN))
		return -ENOENT;
	if (status)
		return fail(context, request, "doesn't say what the address is", status);
	memory.base = (uintptr_t)info.agent_base;
	/* Locked memory has two addresses, and the program may have either. */
	if (request->address - memory.base >= info.size_bytes)
		memory.base = (uintptr_t)info.host_base;
	memory.size_bytes = info.size_bytes;
	memory.system = system_of(&info);
	*ret_memory = memory;
	return 0;
}

static void close_dmabuf(int fd)
{
	hsa.close(fd);
}

static int export(struct p2pdma_context *context, const struct runtime_request *request,
		  const struct runtime_memory *memory, struct runtime_export *ret_export)
{
	const void *pointer = (const void *)(uintptr_t)request->address;
	size_t size = (size_t)request->length_bytes;
	uint64_t offset = 0;
	int fd = -1, status;

	(void)memory;
	if (request->flags & P2PDMA_BUFFER_PCIE_MAPPING && !hsa.export_flags)
		return context_fail(context, -EOPNOTSUPP,
				    "this HSA runtime has no PCIe mapping for DMABUFs");
	if (request->flags & P2PDMA_BUFFER_PCIE_MAPPING)
		status = hsa.export_flags(pointer, size, &fd, &offset, HSA_DMABUF_PCIE);
	else
		status = hsa.export(pointer, size, &fd, &offset);
	if (status)
		return fail(context, request, "doesn't export the memory", status);
	ret_export->fd = fd;
	ret_export->offset_bytes = offset;
	ret_export->close = close_dmabuf;
	return 0;
}

static const struct backend backend_hsa = {
	.name = "hsa",
	.id = P2PDMA_BACKEND_HSA,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_SYSTEM |
		 P2PDMA_BUFFER_PCIE_MAPPING,
	.why_unrevocable = "it is memory of the HSA runtime, which takes none back",
	.query = memory_query,
	.map = buffer_map_dmabuf,
};

const struct runtime runtime_hsa = {
	.backend = &backend_hsa,
	.title = "HSA",
	.vendor_id = 0x1002,
	.package = "ROCm's hsa-rocr, or libhsa-runtime64-1",
	.sonames = sonames,
	.needed = "ROCm 5.4 or newer",
	.symbols = symbols,
	.is_ready = &is_ready,
	.find = find,
	.export = export,
};
