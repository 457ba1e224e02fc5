// SPDX-License-Identifier: MIT
/*
 * The peer of p2pd: the same done with D-Bus. A service with a method that makes a memfd and
 * returns it, and one that takes its number back; a bus of its own between that service and its
 * caller, both of which use sd-bus.
 */
#include <fcntl.h>
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

#define NAME	    "org.p2pdma.Bench"
#define OBJECT	    "/org/p2pdma/Bench"
#define TRIES	    200
#define PAUSE_US    10000
#define PATIENCE_US 2000000
#define NO_SUCH	    127

static const char config[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig><type>session</type><listen>unix:path=%s</listen>\n"
	"<policy context=\"default\"><allow send_destination=\"*\"/>"
	"<allow receive_sender=\"*\"/><allow own=\"*\"/></policy>\n"
	"</busconfig>\n";

struct broker_dbus {
	char socket[128];
	char config[128];
	pid_t bus;
	pid_t service;
	sd_bus *caller;
};

static sd_bus *connect_to(const struct broker_dbus *dbus)
{
	char address[160];
	sd_bus *bus = NULL;

	snprintf(address, sizeof(address), "unix:path=%s", dbus->socket);
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

/* -- the bus -- */

static pid_t start_bus(const struct broker_dbus *dbus)
{
	FILE *file = fopen(dbus->config, "we");
	char argument[160];
	pid_t pid;

	if (!file || fprintf(file, config, dbus->socket) < 0 || fclose(file))
		return -1;
	snprintf(argument, sizeof(argument), "--config-file=%s", dbus->config);
	pid = fork();
	if (pid == 0) {
		int nowhere = open("/dev/null", O_WRONLY);

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(nowhere, STDERR_FILENO);
		execlp("dbus-daemon", "dbus-daemon", argument, "--nofork", "--nopidfile",
		       (char *)NULL);
		_exit(NO_SUCH);
	}
	return pid;
}

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
		if (waitpid(dbus->bus, NULL, WNOHANG) == dbus->bus) {
			dbus->bus = -1;
			return -1;
		}
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
	snprintf(dbus->socket, sizeof(dbus->socket), "%s/bus", folder);
	snprintf(dbus->config, sizeof(dbus->config), "%s/bus.conf", folder);
	dbus->bus = start_bus(dbus);
	dbus->service = fork();
	if (dbus->service == 0)
		serve(dbus);
	if (dbus->bus > 0 && !wait_for(dbus))
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

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

void broker_dbus_stop(struct broker_dbus *dbus)
{
	if (!dbus)
		return;
	sd_bus_flush_close_unref(dbus->caller);
	end(dbus->service);
	end(dbus->bus);
	unlink(dbus->socket);
	unlink(dbus->config);
	free(dbus);
}
