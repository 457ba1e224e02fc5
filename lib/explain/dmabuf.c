// SPDX-License-Identifier: MIT
/*
 * Looks at a DMABUF: is it one, is the range in it, is it at its end, is there a path.
 *
 * Who made it is in its fdinfo. Whose memory it is nothing says: that comes from
 * the library's buffer, or from the program that asks. Without it there is no path to look
 * at, and an end can't be told from another.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <infiniband/verbs.h>
#include <linux/pci_regs.h>

#include <p2pdma/iommufd.h>

#include "buffer/buffer.h"
#include "common/cleanup.h"
#include "common/sysfs.h"
#include "explain.h"
#include "mr/mr.h"
#include "path/path.h"
#include "provider/provider.h"

static void name_memory(struct explain *explain)
{
	const struct p2pdma_buffer *buffer = explain->request->buffer;
	const char *provider = explain->request->provider;

	if (!provider && buffer && buffer->device)
		provider = buffer->name;
	if (provider)
		snprintf(explain->provider, sizeof(explain->provider), "%s", provider);
	if (buffer)
		snprintf(explain->memory, sizeof(explain->memory), "%s", buffer->name);
	else if (provider)
		snprintf(explain->memory, sizeof(explain->memory), "%.64s", provider);
	else if (*explain->out->exporter)
		snprintf(explain->memory, sizeof(explain->memory), "the DMABUF of %s",
			 explain->out->exporter);
	else
		snprintf(explain->memory, sizeof(explain->memory), "the DMABUF");
}

void explain_dmabuf_init(struct explain *explain)
{
	const struct sys_ops *sys = explain->context->sys;
	struct p2pdma_buffer *buffer = explain->request->buffer;
	uint64_t type, size_bytes;

	explain->fd = buffer && explain->request->fd < 0 ? buffer->fd : explain->request->fd;
	explain->size_bytes = UINT64_MAX;
	if (explain->fd >= 0 && !sys->fs_type(explain->fd, &type) && type == DMA_BUF_MAGIC) {
		explain->is_dmabuf = true;
		explain->is_read_only = sys->access_mode(explain->fd) == O_RDONLY;
		if (!sys->size(explain->fd, &size_bytes))
			explain->size_bytes = size_bytes;
		dmabuf_exporter_query(sys, explain->fd, explain->out->exporter);
	}
	if (buffer && buffer->flags & P2PDMA_BUFFER_READ_ONLY)
		explain->is_read_only = true;
	name_memory(explain);
}

bool explain_buffer_end(struct explain *explain)
{
	struct p2pdma_buffer *buffer = explain->request->buffer;
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	uint32_t state, reason;

	if (!buffer)
		return false;
	buffer->backend->query(buffer, &status);
	pthread_mutex_lock(&buffer->context->lock);
	state = buffer->state;
	reason = buffer->reason;
	pthread_mutex_unlock(&buffer->context->lock);
	if (state == P2PDMA_BUFFER_ACTIVE)
		return false;
	if (reason_is_gone(reason))
		return explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE, P2PDMA_EXPLANATION_SEEN,
				   "the device of %s has gone (%s)", buffer->name,
				   p2pdma_reason_name(reason));
	explain_say(explain->out, P2PDMA_CAUSE_REVOKED, P2PDMA_EXPLANATION_SEEN,
		    "%s has been revoked (%s)", buffer->name, p2pdma_reason_name(reason));
	explain_remedy(explain->out, "make a new buffer");
	return true;
}

/* What it is instead: "/dev/null", "socket:[123]". */
static void describe(const struct explain *explain, char *text, size_t size)
{
	uint64_t type = 0;

	explain->context->sys->fs_type(explain->fd, &type);
	switch (type) {
	case SOCKFS_MAGIC:
		snprintf(text, size, "a socket");
		break;
	case PIPEFS_MAGIC:
		snprintf(text, size, "a pipe");
		break;
	case ANON_INODE_FS_MAGIC:
		snprintf(text, size, "an eventfd, epoll or another anonymous file");
		break;
	case TMPFS_MAGIC:
		snprintf(text, size, "a file in memory (a memfd? udmabuf makes a DMABUF of it)");
		break;
	default:
		snprintf(text, size, "a file of the filesystem 0x%" PRIx64, type);
	}
}

bool explain_descriptor(struct explain *explain)
{
	char text[80];
	uint64_t type;

	if (explain->is_dmabuf)
		return false;
	/* The number of a descriptor may have been left out on purpose, but not where it is bad. */
	if (explain->fd < 0 && explain->error != -EBADF)
		return false;
	if (explain->fd < 0 || explain->context->sys->fs_type(explain->fd, &type)) {
		explain_say(explain->out, P2PDMA_CAUSE_BAD_FD, P2PDMA_EXPLANATION_SEEN,
			    "%d is no open descriptor", explain->fd);
		explain_remedy(explain->out, "look for who closed it");
		return true;
	}
	describe(explain, text, sizeof(text));
	explain_say(explain->out, P2PDMA_CAUSE_NOT_DMABUF, P2PDMA_EXPLANATION_SEEN,
		    "descriptor %d is no DMABUF but %s", explain->fd, text);
	explain_remedy(explain->out, "look at /proc/PID/fd/%d: was its number used again?",
		       explain->fd);
	return true;
}

bool explain_rules(struct explain *explain)
{
	const struct p2pdma_explain_request *request = explain->request;
	struct mr_rules rules = {
		.is_dmabuf = request->operation == P2PDMA_OPERATION_REGISTER,
		.access = request->access,
		.takes = MR_DMABUF_ACCESS,
		.offset_bytes = request->offset_bytes,
		.length_bytes = request->length_bytes,
		.iova = request->iova,
		.size_bytes = explain->size_bytes,
		.page_bytes = explain->context->page_size_bytes,
	};

	if (!mr_rules_break(&rules, explain->out))
		return false;
	if (explain->out->cause != P2PDMA_CAUSE_IOVA)
		return true;
	if (rules.offset_bytes % rules.page_bytes)
		explain_remedy(explain->out, "choose an iova that is 0x%" PRIx64 " beyond a page",
			       rules.offset_bytes % rules.page_bytes);
	else
		explain_remedy(explain->out, "choose an iova that begins a page");
	return true;
}

static bool writes(const struct p2pdma_explain_request *request)
{
	switch (request->operation) {
	case P2PDMA_OPERATION_MAP:
		return request->access & P2PDMA_MAP_WRITE;
	case P2PDMA_OPERATION_IOMMUFD_MAP:
		return request->access & P2PDMA_IOMMUFD_WRITE;
	default:
		return mr_writes(request->access);
	}
}

bool explain_read_only(struct explain *explain)
{
	bool is_registration = explain->request->operation == P2PDMA_OPERATION_REGISTER;

	if (!explain->is_read_only || !writes(explain->request))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_READ_ONLY, P2PDMA_EXPLANATION_SEEN,
		    "%s is read-only", explain->memory);
	explain_remedy(explain->out, is_registration ?
					     "register it with IBV_ACCESS_REMOTE_READ alone" :
					     "map it for reading");
	return true;
}

/* Has VFIO's user, a reset or its own state turned the function's memory off? */
static bool is_decode_off(const struct explain *explain, const struct pci_address *address)
{
	char name[PCI_ADDRESS_SIZE], path[80];
	cleanup_fd int fd = -1;
	uint8_t command[2];

	if (strncmp(explain->out->exporter, "vfio", 4))
		return false;
	pci_address_format(address, name);
	snprintf(path, sizeof(path), "bus/pci/devices/%s/config", name);
	fd = openat(explain->context->sysfs_fd, path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && pread(fd, command, sizeof(command), PCI_COMMAND) == sizeof(command) &&
	       !(command[0] & PCI_COMMAND_MEMORY);
}

bool explain_ended(struct explain *explain)
{
	struct pci_provider_name name;
	struct pci_function function;
	int r;

	if (!*explain->provider || pci_provider_name_parse(explain->provider, &name)) {
		explain_say(explain->out, P2PDMA_CAUSE_ENDED, 0,
			    "%s was revoked by its exporter, or its device has gone",
			    explain->memory);
		explain_remedy(explain->out, "ask its exporter for a new DMABUF");
		return true;
	}
	r = pci_function_query(explain->context->sysfs_fd, &name.address, &function);
	if (r == -ENODEV)
		return explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE, P2PDMA_EXPLANATION_SEEN,
				   "the device of %s has gone: there is no such function",
				   explain->provider);
	if (!r && name.has_generation && name.generation != function.generation)
		return explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE, P2PDMA_EXPLANATION_SEEN,
				   "the device of %s has gone: arrival %" PRIu64
				   " is in its slot now",
				   explain->provider, function.generation);
	if (!r && !*function.driver)
		return explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE, P2PDMA_EXPLANATION_SEEN,
				   "the function of %s has lost its driver", explain->provider);
	if (is_decode_off(explain, &name.address)) {
		explain_say(explain->out, P2PDMA_CAUSE_DECODE_OFF, P2PDMA_EXPLANATION_SEEN,
			    "the memory decode of %s is off: VFIO has revoked its DMABUFs",
			    explain->provider);
		explain_remedy(explain->out, "turn it on again (PCI_COMMAND_MEMORY), or export "
					     "anew after a close");
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_ENDED, 0, "%s was revoked: its function is there",
		    explain->memory);
	explain_remedy(explain->out, "export it anew");
	return true;
}

/* Who maps it, by a name that paths know; false: nobody knows. */
static bool name_importer(const struct explain *explain, char *ret_name, size_t size)
{
	if (explain->has_nic)
		explain_nic_importer(explain, ret_name, size);
	else if (explain->request->importer)
		snprintf(ret_name, size, "%s", explain->request->importer);
	else
		return explain_device_importer(explain, ret_name, size);
	return true;
}

bool explain_path(struct explain *explain)
{
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	char importer[64];
	int r;

	if (!*explain->provider || !name_importer(explain, importer, sizeof(importer)) ||
	    dmabuf_exporter_is_system(explain->out->exporter))
		return false;
	r = p2pdma_provider_find(explain->context, explain->provider, &provider);
	if (r)
		return false;
	r = p2pdma_path_query(explain->context, provider, importer, &path);
	p2pdma_provider_unref(provider);
	/* That it is on no function is another cause. */
	if (r || path.flags & P2PDMA_PATH_POSSIBLE || path.reason == P2PDMA_PATH_NOT_PCI)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_PATH,
		    path.map_type == P2PDMA_MAP_NOT_SUPPORTED ? P2PDMA_EXPLANATION_SEEN : 0,
		    "%s can't reach %s peer to peer: %s",
		    explain->has_nic ? explain->nic : importer, explain->provider, path.why);
	explain_remedy(explain->out, "%s", path.advice);
	return true;
}
