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
 *	CLOSED -> OPENING -> OPEN -> CLOSING -> CLOSED
 *	   ^---------/ it failed
 *
 * Opening and closing take their time, elsewhere (vfio_jobs.c). Meanwhile the device is settling: who
 * wants a lease of it waits, and what is being taken back ends when it is closed.
 *
 * The kernel may ask for the device back: see vfio_request.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/sys.h"
#include "common/vfio_abi.h"
#include "provider/paths.h"
#include "report/log.h"
#include "vfio_state.h"

static struct vfio_source *vfio_of(struct device *device)
{
	return list_entry(device, struct vfio_source, device);
}

static void source_free(struct vfio_source *vfio)
{
	vfio_requests_ignore(vfio);
	free(vfio);
}

static void settle(struct vfio_source *vfio, enum vfio_state state)
{
	vfio->state = state;
	vfio->device.is_settling = state == OPENING || state == CLOSING;
}

/* -- closing for good -- */

static void on_closed(struct vfio_job *job)
{
	struct vfio_source *vfio = job->owner;

	if (job->decode_error)
		log_event(P2PD_LOG_WARNING, "%s: memory decode stayed on (%s); closing did it",
			  job->name, error_name(job->decode_error));
	settle(vfio, CLOSED);
	if (vfio->is_removed)
		source_free(vfio);
	else
		vfio->owner->settled(vfio->owner->data, &vfio->device);
}

/* Nobody else gets the function meanwhile, nor another one of VFIO. */
static void on_late(struct vfio_job *job, const char *why)
{
	struct vfio_source *vfio = job->owner;

	wire_text_set(vfio->device.trouble, sizeof(vfio->device.trouble), why ? why : "");
	if (why)
		log_event(P2PD_LOG_WARNING, "%s: %s; leases of VFIO's functions wait for that",
			  job->name, why);
	else
		log_event(P2PD_LOG_INFO, "%s: it is closed, and leases go on", job->name);
	list_for_each_entry(provider, &vfio->device.providers, struct provider, link_of_device)
		broker_provider_tell(vfio->owner->broker, provider, WIRE_MONITOR_PROVIDER_CHANGED);
}

static void shut(struct vfio_source *vfio)
{
	if (vfio->state != OPEN)
		return;
	vfio->job.is_opening = false;
	vfio->job.done = on_closed;
	/* At the end of this p2pd it is the next one's. */
	if (vfio_jobs_begin(vfio->owner->jobs, &vfio->job))
		return;
	vfio_requests_ignore(vfio);
	vfio->device.fd = -1;
	vfio->device.is_kept = false;
	settle(vfio, CLOSING);
}

/* Is its time over, so that it only waits for the kernel's step? */
static bool is_due(const struct lease *lease, uint64_t now_ns)
{
	if (lease->state == WIRE_LEASE_ACTIVE)
		return false;
	return lease->state != WIRE_LEASE_REVOKING || lease->is_acked ||
	       lease->deadline_ns <= now_ns;
}

/* Others than @lease; NULL: any. */
static bool are_others_alive(struct vfio_source *vfio, const struct lease *lease)
{
	uint64_t now_ns = vfio->owner->broker->now_ns();

	list_for_each_entry(provider, &vfio->device.providers, struct provider, link_of_device)
		list_for_each_entry(other, &provider->leases, struct lease, link_of_provider)
			if (other != lease && other->export_id == vfio->epoch &&
			    !other->is_kernel_done && !is_due(other, now_ns))
				return true;
	return false;
}

/* -- opening -- */

static void take_up(struct vfio_source *vfio)
{
	struct vfio_job *job = &vfio->job;

	vfio->device.fd = job->open.fd;
	vfio->device.is_kept = !job->keep_error;
	/* Never the number of an opening before: milliseconds have passed since. */
	vfio->epoch = (uint32_t)(vfio->owner->broker->now_ns() / 1000000) | 1;
	settle(vfio, OPEN);
	if (job->is_deaf)
		log_event(P2PD_LOG_WARNING, "%s: VFIO tells no requests", job->name);
	if (job->keep_error)
		log_event(P2PD_LOG_WARNING, "%s isn't kept (%s): its leases end with p2pd",
			  job->name, error_name(job->keep_error));
}

static void on_opened(struct vfio_job *job)
{
	struct vfio_source *vfio = job->owner;

	vfio->open_error = job->error;
	if (!job->error) {
		take_up(vfio);
	} else {
		vfio_requests_ignore(vfio);
		settle(vfio, CLOSED);
	}
	if (!vfio->is_removed)
		vfio->owner->settled(vfio->owner->data, &vfio->device);
	vfio->open_error = 0;
	/* They may all have gone meanwhile, or want something else by now. */
	if (vfio->state == OPEN && !are_others_alive(vfio, NULL))
		shut(vfio);
	if (vfio->is_removed && vfio->state == CLOSED)
		source_free(vfio);
}

static int begin_opening(struct vfio_source *vfio, struct cause *ret_why)
{
	int r;

	if (vfio->open_error)
		return cause_fail(ret_why, vfio->open_error, "%s", vfio->job.why.text);
	if (vfio->is_wanted)
		return cause_fail(ret_why, -EBUSY, "the kernel wants the function back");
	r = vfio_requests_make(vfio);
	if (r)
		return r;
	vfio->job.is_opening = true;
	vfio->job.request_fd = vfio->request_fd;
	vfio->job.done = on_opened;
	r = vfio_jobs_begin(vfio->owner->jobs, &vfio->job);
	if (r) {
		vfio_requests_ignore(vfio);
		return r;
	}
	settle(vfio, OPENING);
	return -EINPROGRESS;
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
	if (vfio->state != OPEN)
		return begin_opening(vfio, &ret->why);
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
	r = vfio_jobs_sys(vfio->owner->jobs)->ioctl(device->fd, VFIO_DEVICE_FEATURE, &argument);
	if (r < 0) {
		/* What was opened for it alone isn't needed. */
		if (!are_others_alive(vfio, lease))
			shut(vfio);
		return r;
	}
	ret->fd = r;
	ret->export_id = vfio->epoch;
	return 0;
}

/* -- taking back -- */

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	struct vfio_source *vfio = vfio_of(device);

	(void)ret_result;
	if (lease->export_id != vfio->epoch || vfio->state == CLOSED || vfio->state == OPENING)
		return 0;
	if (vfio->state == OPEN && are_others_alive(vfio, lease))
		return -EAGAIN;
	shut(vfio);
	return -EINPROGRESS;
}

static int revoke_all(struct device *device)
{
	shut(vfio_of(device));
	return 0;
}

/* At the end of this p2pd: ours ends, the kept one goes on; no decode off, nothing forgotten. */
static void let_go(struct vfio_source *vfio)
{
	struct vfio_nodes *nodes = vfio_jobs_nodes(vfio->owner->jobs);

	if (nodes)
		vfio_close(nodes, &vfio->job.open);
	/* What the thread has or will have stays with it. */
	if (nodes || !vfio->device.is_settling)
		source_free(vfio);
}

static void close_device(struct device *device)
{
	struct vfio_source *vfio = vfio_of(device);

	if (vfio->owner->is_ending) {
		let_go(vfio);
		return;
	}
	vfio->is_removed = true;
	shut(vfio);
	if (vfio->state == CLOSED)
		source_free(vfio);
}

/* VFIO has no call for it: by the kernel's rules. */
static int distance(struct device *device, const struct pci_address *importer,
		    int32_t *ret_distance)
{
	return paths_distance(vfio_of(device)->owner->sysfs_fd, &device->address, importer,
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

bool source_vfio_leave(struct device *device)
{
	struct vfio_source *vfio = vfio_of(device);

	/* What is open has somebody's lease; what is being opened is for nobody. */
	if (vfio->state == OPEN)
		vfio_give_back(vfio);
	return vfio->state == OPEN || (vfio->state == CLOSING && vfio->is_wanted);
}

bool source_vfio_is_let_go(struct device *device)
{
	const struct vfio_source *vfio = vfio_of(device);

	return vfio->state == CLOSED && vfio->is_wanted;
}

int source_vfio_new(const struct source_vfio_owner *owner, const struct pci_function *function,
		    int fd, const char *name, struct device **ret_device)
{
	struct vfio_source *vfio = calloc(1, sizeof(*vfio));
	int r = vfio ? vfio_jobs_start(owner->jobs) : -ENOMEM;

	if (r) {
		free(vfio);
		if (fd >= 0)
			close(fd);
		return r;
	}
	vfio->device.ops = &ops;
	vfio->device.address = function->address;
	vfio->device.generation = function->generation;
	vfio->device.fd = fd;
	vfio->device.is_kept = fd >= 0;
	list_init(&vfio->device.link);
	list_init(&vfio->device.providers);
	vfio->owner = owner;
	vfio->request_fd = -1;
	vfio->job.owner = vfio;
	vfio->job.late = on_late;
	vfio->job.function = *function;
	vfio->job.open = (struct vfio_open)VFIO_OPEN_INIT;
	wire_text_set(vfio->job.name, sizeof(vfio->job.name), name);
	*ret_device = &vfio->device;
	if (fd < 0)
		return 0;
	vfio->state = OPEN;
	vfio_adopt(vfio_jobs_nodes(owner->jobs), function, fd, &vfio->job.open);
	if (vfio_requests_make(vfio) ||
	    vfio_irq_set(vfio_jobs_sys(owner->jobs), fd, VFIO_PCI_REQ_IRQ_INDEX, vfio->request_fd))
		log_event(P2PD_LOG_WARNING, "%s: VFIO tells no requests", name);
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
