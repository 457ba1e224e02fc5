// SPDX-License-Identifier: MIT
/*
 * The kernel asks for a function of VFIO back, through an eventfd: an unbind, a hot-unplug.
 *
 * All its leases are then revoked gracefully, and with the last of them the device is closed, which is
 * what the kernel waits for. It isn't opened again.
 */
#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "report/log.h"
#include "vfio_state.h"

void vfio_requests_ignore(struct vfio_source *vfio)
{
	if (vfio->request)
		event_free(vfio->request);
	vfio->request = NULL;
	cleanup_close(&vfio->request_fd);
	vfio->request_fd = -1;
}

void vfio_give_back(struct vfio_source *vfio)
{
	if (vfio->is_wanted)
		return;
	vfio->is_wanted = true;
	log_event(P2PD_LOG_INFO, "%s: the kernel wants the function back", vfio->job.name);
	broker_device_wanted(vfio->owner->broker, &vfio->device);
}

static void on_request(evutil_socket_t fd, short what, void *data)
{
	eventfd_t count;

	(void)what;
	if (!eventfd_read(fd, &count))
		vfio_give_back(data);
}

int vfio_requests_make(struct vfio_source *vfio)
{
	vfio->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vfio->request_fd < 0)
		return -errno;
	vfio->request = event_new(vfio->owner->base, vfio->request_fd, EV_READ | EV_PERSIST,
				  on_request, vfio);
	if (vfio->request && !event_add(vfio->request, NULL))
		return 0;
	vfio_requests_ignore(vfio);
	return -ENOMEM;
}
