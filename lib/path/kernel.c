// SPDX-License-Identifier: MIT
/*
 * The kernel's own answer about a path.
 *
 * p2pdma_export asks the function that decides when memory is mapped, so what it says is
 * true and what was computed is a forecast. Where both answer and differ, the caller gets the
 * kernel's answer, a bit that says so, and a sentence with both: the rules of another kernel
 * version, or a mistake that somebody should hear about. No state, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include <linux/p2pdma_export.h>

#include "path.h"

int path_open_kernel(const struct p2pdma_context *context, const struct pci_address *provider)
{
	char name[PCI_ADDRESS_SIZE], path[64];
	int fd;

	pci_address_format(provider, name);
	snprintf(path, sizeof(path), P2PDMA_EXPORT_DIR "/%s", name);
	fd = context->sys->open_at(context->dev_fd, path, O_RDWR | O_NONBLOCK);
	return fd < 0 ? -EOPNOTSUPP : fd;
}

int path_ask(const struct p2pdma_context *context, int fd, const struct pci_address *importer,
	     uint32_t *ret_map_type, int32_t *ret_distance)
{
	struct p2pdma_export_path argument = {
		.argsz = sizeof(argument),
		.client_domain = importer->domain,
		.client_bus = importer->bus,
		.client_devfn = importer->devfn,
	};

	if (context->sys->ioctl(fd, P2PDMA_EXPORT_PATH, &argument) ||
	    argument.map_type > P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE)
		return -EOPNOTSUPP;
	*ret_map_type = argument.map_type;
	*ret_distance = argument.distance;
	return 0;
}

int path_ask_kernel(const struct p2pdma_context *context, const struct pci_address *provider,
		    const struct pci_address *importer, uint32_t *ret_map_type,
		    int32_t *ret_distance)
{
	int fd, r;

	fd = path_open_kernel(context, provider);
	if (fd < 0)
		return fd;
	r = path_ask(context, fd, importer, ret_map_type, ret_distance);
	context->sys->close(fd);
	return r;
}

static bool disagrees(uint32_t map_type, int32_t distance, const struct p2pdma_path *path)
{
	if (path->computed_map_type == P2PDMA_MAP_UNKNOWN)
		return distance >= 0 && distance != path->computed_distance;
	if (map_type != P2PDMA_MAP_UNKNOWN && map_type != path->computed_map_type)
		return true;
	return distance != path->computed_distance;
}

static void tell_disagreement(const struct p2pdma_context *context, uint32_t map_type,
			      int32_t distance, struct p2pdma_path *path)
{
	path->flags |= P2PDMA_PATH_DISAGREES;
	path->reason = P2PDMA_PATH_KERNEL;
	snprintf(path->why, sizeof(path->why),
		 "the kernel says %s at distance %" PRId32
		 ", but the rules of Linux %s come to %s at distance %" PRId32,
		 p2pdma_map_type_name(map_type), distance, path_kernel,
		 p2pdma_map_type_name(path->computed_map_type), path->computed_distance);
	snprintf(path->advice, sizeof(path->advice),
		 "report this to the authors of libp2pdma, with `uname -r` and `lspci -tvvv`");
	context_log(context, P2PDMA_LOG_WARNING, "from %s to %s: %s", path->provider,
		    path->importer, path->why);
}

void path_take_answer(const struct p2pdma_context *context, uint32_t map_type, int32_t distance,
		      struct p2pdma_path *path)
{
	path->flags |= P2PDMA_PATH_ASKED;
	if (distance < 0)
		path->flags &= ~P2PDMA_PATH_POSSIBLE;
	else
		path->flags |= P2PDMA_PATH_POSSIBLE;
	if (disagrees(map_type, distance, path)) {
		tell_disagreement(context, map_type, distance, path);
	} else if (path->map_type == P2PDMA_MAP_UNKNOWN && map_type != P2PDMA_MAP_UNKNOWN) {
		path->reason = P2PDMA_PATH_KERNEL;
		snprintf(path->why, sizeof(path->why),
			 "the kernel says so; why isn't shown without CAP_SYS_ADMIN");
		path->advice[0] = '\0';
	}
	path->distance = distance;
	if (distance < 0)
		path->map_type = P2PDMA_MAP_NOT_SUPPORTED;
	else if (map_type != P2PDMA_MAP_UNKNOWN)
		path->map_type = map_type;
}
