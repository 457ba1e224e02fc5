// SPDX-License-Identifier: MIT
/*
 * The `vfio` backend: functions that belong to vfio-pci.
 *
 * VFIO can't take back one DMABUF. It can only close the function as a whole, for good:
 * memory decode goes off, and the device is closed, after which none of its DMABUFs ever
 * reaches memory again. (Decode alone would not do: with decode on again, old DMABUFs
 * come back to life.) So the end of one lease waits, its slice still taken, until
 * every other lease from the same opening is over or due, too; then they end together. An
 * administrator who wants it sooner revokes the function as a whole.
 *
 * The function is opened with the first lease and closed with the last. Each opening has a
 * number, the epoch, which its leases have as their export id: what belongs to an earlier opening is over.
 *
 * The kernel asks for the device back through an eventfd (an unbind, a hot-unplug). All its
 * leases are then revoked gracefully, and with the last of them the device is closed, which is
 * what the kernel waits for.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker.h"
#include "common/cleanup.h"
#include "common/path.h"
#include "common/sys.h"
#include "common/vfio_abi.h"
#include "log.h"
#include "service.h"
#include "source_vfio.h"

struct vfio_source {
	struct device device; /* its fd: the open device, -1 between leases */
	struct event_base *base;
	struct broker *broker;
	struct vfio_nodes *nodes;
	struct pci_function function;
	struct vfio_open open;
	uint32_t epoch;
	int request_fd;
	struct event *request;
	bool is_wanted; /* by the kernel: not opened again */
	char name[64];	/* what the descriptor is kept as */
};

static struct vfio_source *vfio_of(struct device *device)
{
	return list_entry(device, struct vfio_source, device);
}

/* -- closing for good -- */

static void shut(struct vfio_source *vfio)
{
	if (vfio->device.fd < 0)
		return;
	/* For whoever still holds a DMABUF: it ends here, whatever closing takes. */
	if (vfio_decode_set(vfio->nodes->sys, vfio->device.fd, false))
		log_event(P2PD_LOG_WARNING, "%s: memory decode stays on; closing does it",
			  vfio->name);
	if (vfio->request)
		event_free(vfio->request);
	vfio->request = NULL;
	cleanup_close(&vfio->request_fd);
	vfio->request_fd = -1;
	/* The kept copy has to go before it counts as closed. */
	service_forget_now(vfio->name);
	vfio_close(vfio->nodes, &vfio->open);
	vfio->device.fd = -1;
	vfio->device.is_kept = false;
}

/* -- opening -- */

static void on_request(evutil_socket_t fd, short what, void *data)
{
	struct vfio_source *vfio = data;
	eventfd_t count;

	(void)what;
	if (eventfd_read(fd, &count) || vfio->is_wanted)
		return;
	vfio->is_wanted = true;
	log_event(P2PD_LOG_INFO, "%s: the kernel wants the function back", vfio->name);
	broker_device_wanted(vfio->broker, &vfio->device);
}

static int watch(struct vfio_source *vfio)
{
	vfio->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vfio->request_fd < 0)
		return -errno;
	vfio->request =
		event_new(vfio->base, vfio->request_fd, EV_READ | EV_PERSIST, on_request, vfio);
	if (!vfio->request || event_add(vfio->request, NULL))
		return -ENOMEM;
	/* A kernel that doesn't tell waits until somebody revokes. */
	if (vfio_irq_set(vfio->nodes->sys, vfio->device.fd, VFIO_PCI_REQ_IRQ_INDEX,
			 vfio->request_fd))
		log_event(P2PD_LOG_WARNING, "%s: VFIO tells no requests", vfio->name);
	return 0;
}

static int open_now(struct vfio_source *vfio, struct cause *ret_why)
{
	int r;

	if (vfio->device.fd >= 0)
		return 0;
	if (vfio->is_wanted)
		return cause_fail(ret_why, -EBUSY, "the kernel wants the function back");
	r = vfio_open(vfio->nodes, &vfio->function, ret_why, &vfio->open);
	if (r)
		return r;
	vfio->device.fd = vfio->open.fd;
	/* Never the number of an opening before: milliseconds have passed since. */
	vfio->epoch = (uint32_t)(vfio->broker->now_ns() / 1000000) | 1;
	r = vfio_can_export(vfio->nodes->sys, vfio->device.fd);
	if (r)
		cause_fail(ret_why, r, "VFIO of this kernel can't export DMABUFs");
	else
		r = vfio_decode_set(vfio->nodes->sys, vfio->device.fd, true);
	if (!r)
		r = watch(vfio);
	if (!r) {
		int kept = service_keep_now(vfio->name, vfio->device.fd);

		if (kept)
			log_event(P2PD_LOG_WARNING, "%s isn't kept (%s): its leases end with p2pd",
				  vfio->name, error_name(kept));
		vfio->device.is_kept = !kept;
	}
	if (r)
		shut(vfio);
	return r;
}

/* Is its time over, so that it only waits for the kernel's step? */
static bool is_due(const struct lease *lease, uint64_t now_ns)
{
	if (lease->state == WIRE_LEASE_ACTIVE)
		return false;
	return lease->state != WIRE_LEASE_REVOKING || lease->is_acked ||
	       lease->deadline_ns <= now_ns;
}

static bool are_others_alive(struct vfio_source *vfio, const struct lease *lease)
{
	uint64_t now_ns = vfio->broker->now_ns();

	list_for_each_entry(provider, &vfio->device.providers, struct provider, link_of_device)
		list_for_each_entry(other, &provider->leases, struct lease, link_of_provider)
			if (other != lease && other->export_id == vfio->epoch &&
			    !other->is_kernel_done && !is_due(other, now_ns))
				return true;
	return false;
}

static int export(struct device *device, const struct lease *lease, struct source_grant *ret)
{
	struct vfio_source *vfio = vfio_of(device);
	struct {
		struct vfio_abi_dma_buf head;
		struct vfio_abi_dma_range ranges[WIRE_RANGES_MAX];
	} argument;
	int r;

	if (lease->flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE)
		return cause_fail(&ret->why, -EOPNOTSUPP,
				  "VFIO lets in no importer that can't be revoked");
	r = open_now(vfio, &ret->why);
	if (r)
		return r;
	argument.head = (struct vfio_abi_dma_buf){
		.argsz = (uint32_t)(sizeof(argument.head) +
				    lease->nr_ranges * sizeof(argument.ranges[0])),
		.feature_flags = VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_DMA_BUF,
		.region_index = lease->provider->identity.bar,
		.open_flags = O_CLOEXEC | (lease->access & WIRE_ACCESS_WRITE ? O_RDWR : O_RDONLY),
		.nr_ranges = lease->nr_ranges,
	};
	for (uint32_t i = 0; i < lease->nr_ranges; i++) {
		argument.ranges[i].offset = lease->ranges[i].offset_bytes;
		argument.ranges[i].length = lease->ranges[i].length_bytes;
	}
	ret->fd = ioctl(device->fd, VFIO_DEVICE_FEATURE, &argument);
	if (ret->fd < 0) {
		r = -errno;
		if (!are_others_alive(vfio, lease))
			shut(vfio);
		return r;
	}
	ret->export_id = vfio->epoch;
	return 0;
}

/* -- taking back -- */

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	struct vfio_source *vfio = vfio_of(device);

	(void)ret_result;
	if (device->fd < 0 || lease->export_id != vfio->epoch)
		return 0;
	if (are_others_alive(vfio, lease))
		return -EAGAIN;
	shut(vfio);
	return 0;
}

static int revoke_all(struct device *device)
{
	shut(vfio_of(device));
	return 0;
}

static void close_device(struct device *device)
{
	struct vfio_source *vfio = vfio_of(device);

	/* Ours ends, the kept one goes on: no decode off, nothing forgotten. */
	if (vfio->request)
		event_free(vfio->request);
	cleanup_close(&vfio->request_fd);
	vfio_close(vfio->nodes, &vfio->open);
	free(vfio);
}

/* VFIO has no call for it: by the kernel's rules. */
static int distance(struct device *device, const struct pci_address *importer,
		    int32_t *ret_distance)
{
	cleanup_fd int sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (sysfs_fd < 0)
		return -errno;
	return path_distance_query(sysfs_fd, path_cpu_here(), &device->address, importer,
				   ret_distance);
}

static const struct source_ops ops = {
	.backend = WIRE_BACKEND_VFIO,
	.force = WIRE_FORCE_FUNCTION,
	.export = export,
	.revoke = take_back,
	.revoke_all = revoke_all,
	.distance = distance,
	.close = close_device,
};

int source_vfio_new(struct event_base *base, struct broker *broker, struct vfio_nodes *nodes,
		    const struct pci_function *function, int fd, const char *name,
		    struct device **ret_device)
{
	struct vfio_source *vfio = calloc(1, sizeof(*vfio));

	if (!vfio) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	vfio->device.ops = &ops;
	vfio->device.address = function->address;
	vfio->device.generation = function->generation;
	vfio->device.fd = fd;
	vfio->device.is_kept = fd >= 0;
	list_init(&vfio->device.link);
	list_init(&vfio->device.providers);
	vfio->base = base;
	vfio->broker = broker;
	vfio->nodes = nodes;
	vfio->function = *function;
	vfio->open = (struct vfio_open)VFIO_OPEN_INIT;
	if (fd >= 0)
		vfio_adopt(nodes, function, fd, &vfio->open);
	vfio->request_fd = -1;
	wire_text_set(vfio->name, sizeof(vfio->name), name);
	if (fd >= 0 && watch(vfio))
		log_event(P2PD_LOG_ERROR, "%s can't be listened to", name);
	*ret_device = &vfio->device;
	return 0;
}

void source_vfio_restored(struct device *device)
{
	struct vfio_source *vfio = vfio_of(device);

	/* A device is closed before the first lease of its next opening: they all have one number. */
	list_for_each_entry(provider, &device->providers, struct provider, link_of_device)
		list_for_each_entry(lease, &provider->leases, struct lease, link_of_provider)
			vfio->epoch = lease->export_id;
	if (!vfio->epoch)
		shut(vfio);
}
