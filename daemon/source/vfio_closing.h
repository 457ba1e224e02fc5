/* SPDX-License-Identifier: MIT */
#ifndef VFIO_CLOSING_H
#define VFIO_CLOSING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/pci.h"

struct event;
struct event_base;

/* Waits for the last close of a function of VFIO, whoever makes it. */
struct vfio_closing {
	void (*over)(void *data);
	/* It takes longer than it should, for this reason; NULL: it is over. */
	void (*late)(void *data, const char *why);
	void *data;
	/* Its own. */
	struct event *timer;
	const struct pci_function *function;
	bool must_be_sure;
	bool is_late;
	uint32_t pause_ms;
	uint32_t waited_ms;
};

int vfio_closing_init(struct vfio_closing *closing, struct event_base *base);
void vfio_closing_done(struct vfio_closing *closing);

/*
 * over() comes when the kernel has closed @function, borrowed until then; perhaps from in here. Without
 * @must_be_sure it comes after some seconds in any case.
 */
void vfio_closing_await(struct vfio_closing *closing, const struct pci_function *function,
			bool must_be_sure);
/* This p2pd ends: over() now, if it is still to come. False: it isn't. */
bool vfio_closing_abandon(struct vfio_closing *closing);

#endif /* VFIO_CLOSING_H */
