// SPDX-License-Identifier: MIT
/*
 * What we ask of the service manager: to keep descriptors, and to know how we are.
 *
 * A kept descriptor is stored with FDPOLL=0: one of a device that is gone reports
 * EPOLLHUP, and the manager would drop it by itself, which is ours to decide. The barrier
 * makes sure that the manager has taken a descriptor before anything is built on it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/clock.h"
#include "log.h"
#include "service.h"

#define BARRIER_US 5000000

int service_receive(struct service_fds *ret_fds)
{
	char **names = NULL;
	int count;

	memset(ret_fds, 0, sizeof(*ret_fds));
	count = sd_listen_fds_with_names(1, &names);
	if (count <= 0)
		return count;
	ret_fds->fds = calloc((size_t)count, sizeof(*ret_fds->fds));
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (!ret_fds->fds) {
			close(fd);
			free(names[i]);
			continue;
		}
		ret_fds->fds[ret_fds->count].fd = fd;
		ret_fds->fds[ret_fds->count++].name = names[i];
	}
	free(names);
	return ret_fds->fds ? 0 : -ENOMEM;
}

static int take(struct service_fd *entry)
{
	int fd = entry->fd;

	entry->fd = -1;
	return fd;
}

int service_take(struct service_fds *fds, const char *name)
{
	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd >= 0 && !strcmp(fds->fds[i].name, name))
			return take(&fds->fds[i]);
	return -1;
}

int service_take_socket(struct service_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd >= 0 &&
		    sd_is_socket(fds->fds[i].fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
			return take(&fds->fds[i]);
	return -1;
}

void service_fds_done(struct service_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++) {
		if (fds->fds[i].fd >= 0) {
			log_event(P2PD_LOG_WARNING, "kept descriptor \"%s\" is of no use any more",
				  fds->fds[i].name);
			service_forget(fds->fds[i].name);
			close(fds->fds[i].fd);
		}
		free(fds->fds[i].name);
	}
	free(fds->fds);
	memset(fds, 0, sizeof(*fds));
}

bool service_keeps(void)
{
	const char *most = getenv("FDSTORE");

	/* systemd says how many since 254; older ones don't, and then we try. */
	return getenv("NOTIFY_SOCKET") && (!most || atoi(most) > 0);
}

int service_keep(const char *name, int fd)
{
	char text[160];
	int r;

	if (!service_keeps())
		return -EOPNOTSUPP;
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	if (r < 0)
		return r;
	r = sd_notify_barrier(0, BARRIER_US);
	return r < 0 ? r : 0;
}

void service_forget(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void service_forget_now(const char *name)
{
	if (!service_keeps())
		return;
	service_forget(name);
	if (sd_notify_barrier(0, BARRIER_US) < 0)
		log_event(P2PD_LOG_WARNING, "the service manager doesn't say that it forgot \"%s\"",
			  name);
}

void service_ready(void)
{
	sd_notify(0, "READY=1");
}

void service_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_ns() / 1000);
}

void service_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void service_status(const char *format, ...)
{
	va_list arguments;
	char text[160];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	sd_notifyf(0, "STATUS=%s", text);
}
