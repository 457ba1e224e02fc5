// SPDX-License-Identifier: MIT
/*
 * Looks at a device node: why it can't be opened, and whether a descriptor is one of it at all.
 *
 * What a descriptor is of the kernel says by its number: sysfs knows each character device by it. DRM
 * devices have a major number of their own, so that they are known without sysfs as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "common/pci_tree.h"
#include "common/sysfs.h"
#include "explain.h"
#include "files/file.h"

/* Of all DRM nodes, in the kernel's list of devices. */
#define DRM_MAJOR 226

/* What a machine lacks that has no such node; the beginning of its path decides. */
static const struct {
	const char *start;
	const char *remedy;
} absent[] = {
	{"/dev/dma_heap/system", "the kernel has no system heap (CONFIG_DMABUF_HEAPS_SYSTEM)"},
	{"/dev/dma_heap/", "the kernel has no such heap"},
	{"/dev/udmabuf", "the kernel has no udmabuf (CONFIG_UDMABUF), or its module isn't loaded"},
	{"/dev/dri/", "load the GPU's driver, or pass its nodes into the container"},
	{"/dev/iommu", "the kernel has no iommufd (CONFIG_IOMMUFD), or its module isn't loaded"},
	{"/dev/vfio/", "bind the function to vfio-pci"},
	{"/dev/p2pdma/", "load p2pdma_export, and bind the function to it"},
	{"/sys/bus/pci/devices/", "bind a driver that gives the PCI core memory: nvme, of a drive "
				  "with a CMB"},
};

const char *explain_node_absent(const char *node)
{
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		if (!strncmp(node, absent[i].start, strlen(absent[i].start)))
			return absent[i].remedy;
	}
	return "the kernel lacks it, or it wasn't passed into the container";
}

static const char *node_of(const struct explain *explain)
{
	return explain->request->node ? explain->request->node : "the device node";
}

/* What to add of the function whose directory of sysfs the file is in; "": it is elsewhere. */
static void query_driver(const struct explain *explain, char *ret_text, size_t size)
{
	static const char start[] = "/sys/bus/pci/devices/";
	const char *node = node_of(explain) + strlen(start);
	struct pci_function function;
	struct pci_address address;
	char text[PCI_ADDRESS_SIZE];

	*ret_text = '\0';
	if (strncmp(node_of(explain), start, strlen(start)))
		return;
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(node, "/"), node);
	if (!pci_address_parse(text, &address) &&
	    !pci_function_query(explain->context->sysfs_fd, &address, &function))
		snprintf(ret_text, size, ": the function %s%s",
			 *function.driver ? "is bound to " : "has no driver", function.driver);
}

bool explain_node_missing(struct explain *explain)
{
	char driver[96];

	query_driver(explain, driver, sizeof(driver));
	explain_say(explain->out, P2PDMA_CAUSE_NO_METHOD, *driver ? P2PDMA_EXPLANATION_SEEN : 0,
		    "there is no %.256s%s", node_of(explain), driver);
	explain_remedy(explain->out, "%s", explain_node_absent(node_of(explain)));
	return true;
}

bool explain_node_gone(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE, 0,
		    "nothing is behind %.256s any more: its driver has let go of the device",
		    node_of(explain));
	explain_remedy(explain->out, "bind the function to its driver again");
	return true;
}

/* Who may open it, as ls says it, and a group that would help; "" where that can't be seen. */
static void look_at_mode(const struct explain *explain, char *ret_mode, size_t mode_size,
			 char *ret_group, size_t group_size)
{
	const struct p2pdma_context *context = explain->context;
	const char *node = node_of(explain);
	cleanup_fd int root_fd = -1;
	struct stat status;

	if (strncmp(node, "/dev/", 5))
		return;
	root_fd = open(context->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file_describe(root_fd, context->dev_fd, node + 5, ret_mode, mode_size);
	if (fstatat(context->dev_fd, node + 5, &status, 0) || !file_is_for_group(&status) ||
	    context->sys->is_member(status.st_gid))
		return;
	file_group_name(root_fd, status.st_gid, ret_group, group_size);
}

bool explain_node_rights(struct explain *explain)
{
	char mode[96] = "", group[32] = "";

	look_at_mode(explain, mode, sizeof(mode), group, sizeof(group));
	explain_say(explain->out, P2PDMA_CAUSE_PERMISSION, *mode ? P2PDMA_EXPLANATION_SEEN : 0,
		    "this user may not open %.256s%s%s%s", node_of(explain), *mode ? " (" : "",
		    mode, *mode ? ")" : "");
	if (*group)
		explain_remedy(explain->out, "join the group %s, and log in again", group);
	else
		explain_remedy(explain->out, "let udev give it to a group, or be root");
	return true;
}

bool explain_node_container(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_SANDBOX, 0,
		    "the device rules of this container, or a security module, forbid %.256s",
		    node_of(explain));
	explain_remedy(explain->out, "pass the device to the container");
	return true;
}

bool explain_node_busy(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_BUSY, 0, "somebody else has %.256s open alone",
		    node_of(explain));
	explain_remedy(explain->out, "`fuser -v` of the node says who");
	return true;
}

void explain_device_init(struct explain *explain)
{
	const struct p2pdma_context *context = explain->context;
	int fd = explain->request->device_fd;
	struct stat status;
	char path[64];

	explain->device_error = fd < 0 ? -ENOENT : context->sys->stat(fd, &status);
	if (explain->device_error || !S_ISCHR(status.st_mode))
		return;
	explain->is_drm = major(status.st_rdev) == DRM_MAJOR;
	explain->device = status.st_rdev;
	snprintf(path, sizeof(path), "dev/char/%u:%u", major(status.st_rdev),
		 minor(status.st_rdev));
	sysfs_read_link_name(context->sysfs_fd, path, explain->device_name,
			     sizeof(explain->device_name));
	snprintf(path, sizeof(path), "dev/char/%u:%u/subsystem", major(status.st_rdev),
		 minor(status.st_rdev));
	sysfs_read_link_name(context->sysfs_fd, path, explain->subsystem,
			     sizeof(explain->subsystem));
}

bool explain_device_closed(struct explain *explain)
{
	if (explain->device_error != -EBADF)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_BAD_FD, P2PDMA_EXPLANATION_SEEN,
		    "the device's descriptor %" PRId32 " is no open one",
		    explain->request->device_fd);
	explain_remedy(explain->out, "look for who closed it");
	return true;
}

/* Is the descriptor that was called one of such a device? */
static bool is_wanted(const struct explain *explain, bool *ret_is_known)
{
	*ret_is_known = *explain->device_name || !explain->device;
	switch (explain->request->operation) {
	case P2PDMA_OPERATION_IOMMUFD_MAP:
		return !strcmp(explain->device_name, "iommu");
	case P2PDMA_OPERATION_MEMORY_ALLOCATE:
		return !strcmp(explain->device_name, "udmabuf") ||
		       !strcmp(explain->subsystem, "dma_heap");
	default:
		*ret_is_known = true;
		return explain->is_drm;
	}
}

bool explain_device_kind(struct explain *explain)
{
	static const char *const names[] = {
		[P2PDMA_OPERATION_IOMMUFD_MAP] = "iommufd (/dev/iommu)",
		[P2PDMA_OPERATION_GEM_QUERY] = "DRM device",
		[P2PDMA_OPERATION_GEM_ALLOCATE] = "DRM device",
		[P2PDMA_OPERATION_GEM_EXPORT] = "DRM device",
		[P2PDMA_OPERATION_GEM_IMPORT] = "DRM device",
		[P2PDMA_OPERATION_MEMORY_ALLOCATE] = "DMA-BUF heap, and not udmabuf either",
	};
	bool is_known;

	if (explain->device_error || is_wanted(explain, &is_known) || !is_known)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NOT_DEVICE, P2PDMA_EXPLANATION_SEEN,
		    "descriptor %" PRId32 " is no %s%s%s", explain->request->device_fd,
		    names[explain->request->operation], *explain->device_name ? " but " : "",
		    explain->device_name);
	explain_remedy(explain->out, "`ls -l /proc/PID/fd/%" PRId32 "` says what it is",
		       explain->request->device_fd);
	return true;
}

bool explain_device_importer(const struct explain *explain, char *ret_name, size_t size)
{
	struct pci_address address;
	char path[48], text[PCI_ADDRESS_SIZE];

	if (!explain->is_drm)
		return false;
	snprintf(path, sizeof(path), "dev/char/%u:%u", major(explain->device),
		 minor(explain->device));
	if (pci_function_above(explain->context->sysfs_fd, path, &address))
		return false;
	pci_address_format(&address, text);
	snprintf(ret_name, size, "%s", text);
	return true;
}
