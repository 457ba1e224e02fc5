/* SPDX-License-Identifier: MIT */
#ifndef BROKER_BUS_H
#define BROKER_BUS_H

#include <sys/types.h>
#include <systemd/sd-bus.h>

/* A bus of one's own. */
struct broker_bus {
	char socket[96];
	char config[128];
	const char *name; /* the program behind it */
	pid_t pid;
	sd_bus *controller; /* NULL: it needs none */
};

/* In @folder. -1: no bus is installed. */
int broker_bus_start(struct broker_bus *bus, const char *folder);
int broker_bus_has_ended(struct broker_bus *bus);
void broker_bus_stop(struct broker_bus *bus);

#endif /* BROKER_BUS_H */
