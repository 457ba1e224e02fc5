// SPDX-License-Identifier: MIT
/*
 * The peer of p2pd: the same done with D-Bus. A service with a method that makes a memfd and
 * returns it, and one that takes its number back; a bus of its own between that service and its
 * caller, both of which use sd-bus.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "broker.h"
#include "broker_bus.h"

#define NAME	    "org.p2pdma.Bench"
#define OBJECT	    "/org/p2pdma/Bench"
#define TRIES	    200
#define PAUSE_US    10000
#define PATIENCE_US 2000000

struct broker_dbus {
	struct broker_bus bus;
	pid_t service;
	sd_bus *caller;
};

static sd_bus *connect_to(const struct broker_dbus *dbus)
{
	char address[160];
	sd_bus *bus = NULL;

	snprintf(address, sizeof(address), "unix:path=%s", dbus->bus.socket);
	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address) < 0 ||
	    sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_negotiate_fds(bus, 1) < 0 ||
	    sd_bus_start(bus) < 0)
		return sd_bus_unref(bus);
	sd_bus_set_method_call_timeout(bus, PATIENCE_US);
	return bus;
}

/* -- the service -- */

static int on_acquire(sd_bus_message *message, void *data, sd_bus_error *ret_error)
{
	uint32_t id = 1;
	int fd = memfd_create("bench", MFD_CLOEXEC), r;

	(void)data;
	(void)ret_error;
	if (fd < 0 || ftruncate(fd, BROKER_LEASE_BYTES) ||
	    pwrite(fd, &id, sizeof(id), 0) != sizeof(id))
		abort();
	r = sd_bus_reply_method_return(message, "th", (uint64_t)id, fd);
	close(fd);
	return r;
}

static int on_release(sd_bus_message *message, void *data, sd_bus_error *ret_error)
{
	(void)data;
	(void)ret_error;
	return sd_bus_reply_method_return(message, "");
}

static const sd_bus_vtable methods[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Acquire", "st", "th", on_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Release", "t", "", on_release, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

__attribute__((noreturn)) static void serve(const struct broker_dbus *dbus)
{
	sd_bus *bus = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < TRIES && !bus; i++) {
		bus = connect_to(dbus);
		if (!bus)
			usleep(PAUSE_US);
	}
	if (!bus || sd_bus_add_object_vtable(bus, NULL, OBJECT, NAME, methods, NULL) < 0 ||
	    sd_bus_request_name(bus, NAME, 0) < 0)
		_exit(1);
	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0 || (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0))
			_exit(1);
	}
}

/* -- the caller -- */

static int try_lease(sd_bus *bus)
{
	sd_bus_message *reply = NULL;
	uint64_t id;
	int fd, r;

	r = sd_bus_call_method(bus, NAME, OBJECT, NAME, "Acquire", NULL, &reply, "st", "*",
			       (uint64_t)BROKER_LEASE_BYTES);
	if (r >= 0)
		r = sd_bus_message_read(reply, "th", &id, &fd);
	/* The descriptor is closed with its message. */
	sd_bus_message_unref(reply);
	if (r >= 0)
		r = sd_bus_call_method(bus, NAME, OBJECT, NAME, "Release", NULL, NULL, "t", id);
	return r;
}

/* Until bus and service are there. */
static int wait_for(struct broker_dbus *dbus)
{
	for (int i = 0; i < TRIES; i++) {
		if (broker_bus_has_ended(&dbus->bus))
			return -1;
		if (!dbus->caller)
			dbus->caller = connect_to(dbus);
		if (dbus->caller && try_lease(dbus->caller) >= 0)
			return 0;
		usleep(PAUSE_US);
	}
	return -1;
}

struct broker_dbus *broker_dbus_start(const char *folder)
{
	struct broker_dbus *dbus = calloc(1, sizeof(*dbus));

	if (!dbus)
		return NULL;
	if (broker_bus_start(&dbus->bus, folder)) {
		free(dbus);
		return NULL;
	}
	dbus->service = fork();
	if (dbus->service == 0)
		serve(dbus);
	if (!wait_for(dbus))
		return dbus;
	broker_dbus_stop(dbus);
	return NULL;
}

void broker_dbus_lease(struct broker_dbus *dbus)
{
	if (try_lease(dbus->caller) >= 0)
		return;
	fprintf(stderr, "D-Bus gives no descriptor\n");
	exit(1);
}

const char *broker_dbus_name(const struct broker_dbus *dbus)
{
	return dbus->bus.name;
}

void broker_dbus_stop(struct broker_dbus *dbus)
{
	if (!dbus)
		return;
	sd_bus_flush_close_unref(dbus->caller);
	if (dbus->service > 0) {
		kill(dbus->service, SIGTERM);
		waitpid(dbus->service, NULL, 0);
	}
	broker_bus_stop(&dbus->bus);
	free(dbus);
}
