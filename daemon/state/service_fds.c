// SPDX-License-Identifier: MIT
/*
 * What was passed to us: the listening socket, and what the p2pd before us had kept.
 *
 * Everything is taken by its name, by whoever knows what it is; what nobody takes is of no use any
 * more, and the service manager is told so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "report/log.h"
#include "service.h"

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

int service_take(struct service_fds *fds, const char *name)
{
	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd >= 0 && !strcmp(fds->fds[i].name, name))
			return take_fd(&fds->fds[i].fd);
	return -1;
}

int service_take_socket(struct service_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd >= 0 &&
		    sd_is_socket(fds->fds[i].fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
			return take_fd(&fds->fds[i].fd);
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
