/* SPDX-License-Identifier: MIT */
#ifndef BROKER_H
#define BROKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"
#include "common/wire.h"

/*
 * What the benchmarks of p2pd share: p2pd itself, a client that knows nothing but the protocol,
 * and the floor, a server that does what must be done and nothing else. Whatever fails ends the
 * program with a sentence.
 */

/* -- p2pd below its keeper, with the emulated device and the policy that all may all -- */

struct broker_daemon {
	char folder[64];
	char socket[96];
	pid_t keeper;
};

/*
 * From here on everything runs on the processor that this runs on, the floor as well. Raises the
 * limit of open files as far as it may be raised and says how many that are.
 */
size_t broker_prepare(void);

/* @reattach_time: how long leases wait for a holder that hung up, as p2pd.conf has it. */
void broker_start(struct broker_daemon *daemon, const char *reattach_time);
void broker_stop(struct broker_daemon *daemon);
/* p2pd itself. */
pid_t broker_pid(const struct broker_daemon *daemon);

/* -- a client, of p2pd or of the floor -- */

#define BROKER_LEASE_BYTES 4096

int broker_connect(const char *path);
/* -1: nobody there, or it hung up. */
int broker_try_hello(const char *path);
void broker_hello(int fd);
/* The descriptor that comes with it is closed. */
uint64_t broker_acquire(int fd);
void broker_release(int fd, uint64_t lease_id);
uint32_t broker_nr_leases(int fd);
/* Everybody's leases; does not wait for the answer. */
void broker_send_revoke_all(int fd, uint64_t deadline_ms);
/* The next message is that answer or event; @flags as recv() has them. 0 or -errno. */
int broker_take(int fd, uint16_t opcode, int flags);

/* -- the floor -- */

/* One process: accepts, and answers until that peer hangs up; then the next. */
pid_t bare_start(const char *path);
/* The same for many peers at once, with epoll. */
pid_t bare_start_epoll(const char *path);
void bare_stop(pid_t pid, const char *path);
/* Of such a server: one request. Not 0: the peer has hung up. */
int bare_serve(int peer);

/* -- the peer -- */

struct broker_dbus;

/* A bus and a service that gives out descriptors. NULL: there is neither dbus-broker nor dbus-daemon. */
struct broker_dbus *broker_dbus_start(const char *folder);
/* Which of them it is. */
const char *broker_dbus_name(const struct broker_dbus *dbus);
/* One descriptor, and giving it back. */
void broker_dbus_lease(struct broker_dbus *dbus);
void broker_dbus_stop(struct broker_dbus *dbus);

#endif /* BROKER_H */
