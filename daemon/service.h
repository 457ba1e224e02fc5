/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whoever started us and outlives us: systemd, or p2pd-keeper where there is none. Both
 * keep descriptors for the next p2pd and speak the same protocol (sd_notify(3),
 * sd_listen_fds(3)).
 */

/* One descriptor that was passed to us. */
struct service_fd {
	char *name;
	int fd;
};

struct service_fds {
	struct service_fd *fds;
	size_t count;
};

/* Everything passed to us, close-on-exec; none is fine. */
int service_receive(struct service_fds *ret_fds);
/* Takes one out by name: its descriptor, or -1. */
int service_take(struct service_fds *fds, const char *name);
/* Takes the listening socket out. -1: none was passed. */
int service_take_socket(struct service_fds *fds);
/* Closes what nobody took, and has it forgotten. */
void service_fds_done(struct service_fds *fds);

/* Does anybody keep descriptors for us? */
bool service_keeps(void);
/*
 * When it returns 0 the descriptor is kept whatever happens to us. It waits for that, a
 * millisecond as a rule: only for what happens once a device. -EOPNOTSUPP: nobody keeps.
 */
int service_keep(const char *name, int fd);
void service_forget(const char *name);
/* The same, and when it returns it has been forgotten. */
void service_forget_now(const char *name);

void service_ready(void);
void service_reloading(void);
void service_stopping(void);
void service_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* SERVICE_H */
