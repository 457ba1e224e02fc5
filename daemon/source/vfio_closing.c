// SPDX-License-Identifier: MIT
/*
 * Is a function of VFIO closed?
 *
 * Our close() isn't the last where somebody has a copy still: systemd says that it has forgotten a
 * descriptor and closes it a moment later, in a process of its own. What the kernel does in the
 * last close (memory decode, DMABUFs, the reset) isn't done then. vfio-pci has the function
 * enabled as long as anybody has it open, and sysfs tells that, so it is looked at until it isn't;
 * in the loop, since sysfs answers from memory, and ever less often.
 *
 * By its character device the kernel doesn't let anybody open a function again that is open. By a group that
 * p2pd still has, for another function of it, it does, and old DMABUFs would come back to life. So in
 * that case there is no going on without knowing.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/sysfs.h"
#include "common/vfio.h"
#include "vfio_closing.h"

#define FIRST_PAUSE_MS 2
#define LONGEST_MS     1000
#define LATE_MS	       4000

/* What can't be found out, or has another driver by now, isn't open as far as anybody can tell. */
static bool is_open(const struct pci_function *function)
{
	cleanup_fd int sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int fd = -1;
	struct pci_function now;
	uint64_t nr_enabled;

	return sysfs_fd >= 0 && !pci_function_query(sysfs_fd, &function->address, &now) &&
	       now.generation == function->generation && vfio_is_bound(&now) &&
	       !pci_function_open(sysfs_fd, &function->address, &fd) &&
	       !sysfs_read_u64(fd, "enable", &nr_enabled) && nr_enabled;
}

static void end(struct vfio_closing *closing)
{
	event_del(closing->timer);
	closing->function = NULL;
	if (closing->is_late)
		closing->late(closing->data, NULL);
	closing->is_late = false;
	closing->over(closing->data);
}

static void look(struct vfio_closing *closing)
{
	struct timeval pause = {.tv_sec = closing->pause_ms / 1000,
				.tv_usec = closing->pause_ms % 1000 * 1000};

	if (!is_open(closing->function) ||
	    (closing->waited_ms >= LATE_MS && !closing->must_be_sure)) {
		end(closing);
		return;
	}
	if (closing->waited_ms >= LATE_MS && !closing->is_late) {
		closing->is_late = true;
		closing->late(closing->data, "p2pd has closed it, and somebody else has it open");
	}
	closing->waited_ms += closing->pause_ms;
	closing->pause_ms = closing->pause_ms * 2 < LONGEST_MS ? closing->pause_ms * 2 : LONGEST_MS;
	event_add(closing->timer, &pause);
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	look(data);
}

void vfio_closing_await(struct vfio_closing *closing, const struct pci_function *function,
			bool must_be_sure)
{
	closing->function = function;
	closing->must_be_sure = must_be_sure;
	closing->pause_ms = FIRST_PAUSE_MS;
	closing->waited_ms = 0;
	look(closing);
}

bool vfio_closing_abandon(struct vfio_closing *closing)
{
	if (!closing->function)
		return false;
	end(closing);
	return true;
}

int vfio_closing_init(struct vfio_closing *closing, struct event_base *base)
{
	memset(closing, 0, sizeof(*closing));
	closing->timer = evtimer_new(base, on_timer, closing);
	return closing->timer ? 0 : -ENOMEM;
}

void vfio_closing_done(struct vfio_closing *closing)
{
	if (closing->timer)
		event_free(closing->timer);
	closing->timer = NULL;
}
