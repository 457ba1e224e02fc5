// SPDX-License-Identifier: MIT
/*
 * The bus of the peer: dbus-broker where it is installed, else dbus-daemon, each by itself, without
 * systemd, and with the policy that everybody may everything.
 *
 * dbus-broker knows no files. Its controller, which dbus-broker-launch is elsewhere, hands it a
 * listening socket and its policy over a connection of their own, and it ends with that connection.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "broker_bus.h"

#define MACHINE_ID "0123456789abcdef0123456789abcdef"
#define BACKLOG	   16
#define NO_SUCH	   127

/* Of one user: may connect, then rules about owning, sending and receiving. */
#define BATCH	   "bta(btbs)a(btssssuutt)a(btssssuutt)"
/* Users, groups, SELinux, AppArmor; since version 36 with the kind of bus. */
#define POLICY	   "a(u(" BATCH "))a(buu(" BATCH "))a(ss)b"

static const char config[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig><type>session</type><listen>unix:path=%s</listen>\n"
	"<policy context=\"default\"><allow send_destination=\"*\"/>"
	"<allow receive_sender=\"*\"/><allow own=\"*\"/></policy>\n"
	"</busconfig>\n";

__attribute__((noreturn)) static void become(const char *const *arguments)
{
	int nowhere = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(nowhere, STDERR_FILENO);
	execvp(arguments[0], (char *const *)(uintptr_t)arguments);
	_exit(NO_SUCH);
}

static pid_t start_daemon(struct broker_bus *bus)
{
	FILE *file = fopen(bus->config, "we");
	char argument[160];
	pid_t pid;

	if (!file || fprintf(file, config, bus->socket) < 0 || fclose(file))
		return -1;
	snprintf(argument, sizeof(argument), "--config-file=%s", bus->config);
	pid = fork();
	if (pid == 0)
		become((const char *const[]){"dbus-daemon", argument, "--nofork", "--nopidfile",
					     NULL});
	return pid;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && !bind(fd, (const void *)&address, sizeof(address)) && !listen(fd, BACKLOG))
		return fd;
	close(fd);
	return -1;
}

/* One rule of each kind for everybody, of a priority above none. */
static int add_listener(sd_bus *controller, int listener, const char *more)
{
	const uint64_t one = 1, none = 0, most = UINT64_MAX;
	const uint32_t everybody = UINT32_MAX;
	sd_bus_message *call = NULL;
	char policy[256];
	int r;

	snprintf(policy, sizeof(policy), "(" POLICY "%s)", more);
	r = sd_bus_message_new_method_call(controller, &call, NULL, "/org/bus1/DBus/Broker",
					   "org.bus1.DBus.Broker", "AddListener");
	if (r >= 0)
		r = sd_bus_message_append(call, "oh", "/org/bus1/DBus/Listener/0", listener);
	if (r >= 0)
		r = sd_bus_message_append(call, "v", policy, 1, everybody, 1, one, 1, 1, one, 1, "",
					  1, 1, one, "", "", "", "", 0, 0, none, most, 1, 1, one,
					  "", "", "", "", 0, 0, none, most, 0, 0, 0, "session");
	if (r >= 0)
		r = sd_bus_call(controller, call, 0, NULL, NULL);
	sd_bus_message_unref(call);
	return r;
}

static sd_bus *control(int fd, int listener, const char *more)
{
	sd_bus *controller = NULL;

	if (sd_bus_new(&controller) >= 0 && sd_bus_set_fd(controller, fd, fd) >= 0 &&
	    sd_bus_start(controller) >= 0 && add_listener(controller, listener, more) >= 0)
		return controller;
	return sd_bus_unref(controller);
}

static pid_t fork_broker(int *ret_fd)
{
	int pair[2];
	char number[16];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	pid = fork();
	if (pid == 0) {
		fcntl(pair[1], F_SETFD, 0);
		snprintf(number, sizeof(number), "%d", pair[1]);
		become((const char *const[]){"dbus-broker", "--controller", number, "--machine-id",
					     MACHINE_ID, NULL});
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}

/* -1: it isn't installed, or wants to be told otherwise. */
static pid_t start_broker(struct broker_bus *bus)
{
	static const char *const more[] = {"", "s"};

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		int listener = listen_at(bus->socket), fd = -1;
		pid_t pid = listener < 0 ? -1 : fork_broker(&fd);

		bus->controller = pid < 0 ? NULL : control(fd, listener, more[i]);
		close(listener);
		if (bus->controller)
			return pid;
		unlink(bus->socket);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return -1;
}

int broker_bus_start(struct broker_bus *bus, const char *folder)
{
	memset(bus, 0, sizeof(*bus));
	snprintf(bus->socket, sizeof(bus->socket), "%s/bus", folder);
	snprintf(bus->config, sizeof(bus->config), "%s/bus.conf", folder);
	bus->name = "dbus-broker";
	bus->pid = start_broker(bus);
	if (bus->pid > 0)
		return 0;
	bus->name = "dbus-daemon";
	bus->pid = start_daemon(bus);
	return bus->pid > 0 ? 0 : -1;
}

int broker_bus_has_ended(struct broker_bus *bus)
{
	if (waitpid(bus->pid, NULL, WNOHANG) != bus->pid)
		return 0;
	bus->pid = -1;
	return 1;
}

void broker_bus_stop(struct broker_bus *bus)
{
	sd_bus_flush_close_unref(bus->controller);
	if (bus->pid > 0) {
		kill(bus->pid, SIGTERM);
		waitpid(bus->pid, NULL, 0);
	}
	unlink(bus->socket);
	unlink(bus->config);
}
