// SPDX-License-Identifier: MIT
/*
 * The p2pmem backend: memory with struct pages, out of the pool that a function's driver gave to
 * the PCI core (an NVMe controller's buffer, say).
 *
 * The kernel has one call for it: a shared mapping of p2pmem/allocate in the function's
 * sysfs directory takes that many bytes out of the pool, wherever they are free, and
 * the last mapping of a page gives it back. So a buffer here is a mapping of this process and
 * no DMABUF. A second mapping of the file is other memory, whoever makes it: only fork()
 * shares a buffer, and the kernel can't undo MADV_DONTFORK of such memory, so whether
 * children get it is settled when the buffer is made.
 *
 * Taking it back covers the mapping by pages that raise SIGBUS, which gives the memory to the
 * pool, as soon as i/o in flight is over; a child keeps what it has inherited. What can
 * be forced is the end of all: a driver that lets go has the kernel empty every mapping. sysfs
 * doesn't tell that through the file, but the file answers ENODEV from then on, so it is
 * asked whenever a driver is heard to leave, and by every query.
 *
 * Opening and allocating under open_lock, taking back and asking under context->lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "p2pmem.h"
#include "buffer/buffer.h"
#include "common/pci_memory.h"
#include "explain/explain.h"

/* A pool that is open. */
struct p2pmem_device {
	struct device device;
	int fd; /* p2pmem/allocate */
};

static struct p2pmem_device *p2pmem_device_of(struct device *device)
{
	return list_entry(device, struct p2pmem_device, device);
}

static void file_path(const struct pci_function *function, char *path, size_t size)
{
	char name[PCI_ADDRESS_SIZE];

	pci_address_format(&function->address, name);
	snprintf(path, size, "bus/pci/devices/%s/p2pmem/allocate", name);
}

/* 0, or why the file can't be opened. */
static int check_file(const struct p2pdma_context *context, const struct pci_function *function,
		      char *ret_why, size_t size)
{
	char path[80];
	int r;

	file_path(function, path, sizeof(path));
	r = context->sys->access_at(context->sysfs_fd, path, R_OK | W_OK);
	if (!r)
		snprintf(ret_why, size, "p2pmem: by mmap of /sys/%s", path);
	else if (r == -ENOENT)
		snprintf(ret_why, size, "p2pmem: no /sys/%s; the function %s%.32s", path,
			 *function->driver ? "is bound to " : "has no driver", function->driver);
	else
		snprintf(ret_why, size,
			 "p2pmem: /sys/%s can't be opened: %s; whoever may open it may have all of "
			 "the pool",
			 path, error_name(r));
	return r;
}

static int check_export(const struct p2pdma_context *context, const struct pci_function *function,
			uint32_t bar, char *ret_why, size_t size)
{
	(void)bar;
	return check_file(context, function, ret_why, size);
}

static int open_device(struct p2pdma_context *context, const struct pci_function *function,
		       struct device **ret_device)
{
	struct p2pmem_device *p2pmem = calloc(1, sizeof(*p2pmem));
	char path[80];
	int r;

	if (!p2pmem)
		return context_fail(context, -ENOMEM, "no memory for a device");
	device_init(&p2pmem->device, context, &backend_p2pmem, function);
	file_path(function, path, sizeof(path));
	r = context->sys->open_at(context->sysfs_fd, path, O_RDWR);
	if (r < 0) {
		free(p2pmem);
		explain_open_failure(context, r, "/sys/", path);
		/* Without the file the driver isn't there. */
		return r == -ENOENT ? -EOPNOTSUPP : r;
	}
	p2pmem->fd = r;
	*ret_device = &p2pmem->device;
	return 0;
}

static void close_device(struct device *device)
{
	struct p2pmem_device *p2pmem = p2pmem_device_of(device);

	device->context->sys->close(p2pmem->fd);
	free(p2pmem);
}

static int allocate_failed(const struct device *device, int fd, uint64_t length_bytes, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	char provider[PCI_PROVIDER_NAME_SIZE];

	snprintf(provider, sizeof(provider), "%s/p2pmem", device->name);
	request.operation = P2PDMA_OPERATION_POOL_ALLOCATE;
	request.length_bytes = length_bytes;
	request.device_fd = fd;
	request.provider = provider;
	return explain_failure(device->context, error, &request, "can't take 0x%" PRIx64 " bytes",
			       length_bytes);
}

int p2pmem_allocate(const struct device *device, int fd, uint64_t length_bytes, bool is_inherited,
		    void **ret_memory)
{
	int r = -ENOMEM;

	if (length_bytes <= SIZE_MAX)
		r = device->context->sys->map(NULL, (size_t)length_bytes, PROT_READ | PROT_WRITE,
					      MAP_SHARED, fd, 0, ret_memory);
	if (r)
		return allocate_failed(device, fd, length_bytes, r);
	if (!is_inherited)
		madvise(*ret_memory, (size_t)length_bytes, MADV_DONTFORK);
	return 0;
}

static int allocate(struct device *device, const struct export_request *request,
		    struct export_result *ret_result)
{
	uint64_t length_bytes = request->ranges[0].length_bytes;
	int r;

	if (request->nr_ranges != 1 || request->ranges[0].offset_bytes)
		return context_fail(device->context, -EINVAL,
				    "the kernel chooses where in the pool of %s a buffer lies: one "
				    "range at offset 0 says how large it is",
				    device->name);
	r = p2pmem_allocate(device, p2pmem_device_of(device)->fd, length_bytes,
			    request->flags & P2PDMA_BUFFER_INHERIT, &ret_result->memory);
	if (r)
		return r;
	ret_result->fd = -1;
	ret_result->export_id = 0;
	ret_result->size_bytes = length_bytes;
	return 0;
}

static bool has_left(const struct device *device)
{
	const struct p2pmem_device *p2pmem = list_entry(device, const struct p2pmem_device, device);
	uint64_t size_bytes;

	/* A file of sysfs that was removed can't be sought in. */
	return device->context->sys->size(p2pmem->fd, &size_bytes) == -ENODEV;
}

static int revoke_buffer(struct p2pdma_buffer *buffer, uint32_t timeout_ms,
			 struct p2pdma_revoke_result *result)
{
	/* I/o in flight has pinned its pages, and lets go of them when it is done. */
	(void)timeout_ms;
	(void)result;
	mappings_cover(buffer);
	pthread_mutex_lock(&buffer->context->lock);
	buffer_revoked(buffer, P2PDMA_REASON_OWNER, 0);
	pthread_mutex_unlock(&buffer->context->lock);
	return 0;
}

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	(void)status;
	pthread_mutex_lock(&buffer->context->lock);
	if (!buffer->device->is_gone && has_left(buffer->device))
		device_mark_gone(buffer->device, P2PDMA_REASON_REMOVE);
	pthread_mutex_unlock(&buffer->context->lock);
}

const struct backend backend_p2pmem = {
	.name = "p2pmem",
	.id = P2PDMA_BACKEND_P2PMEM,
	.flags = P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE | P2PDMA_BUFFER_INHERIT,
	.kind = P2PDMA_PROVIDER_KIND_P2PMEM,
	.check_export = check_export,
	.open = open_device,
	.close = close_device,
	.export = allocate,
	.has_left = has_left,
	.revoke = revoke_buffer,
	.query = query,
};
