/* SPDX-License-Identifier: MIT */
#ifndef VFIO_KEPT_H
#define VFIO_KEPT_H

#include "common/vfio.h"

struct event;
struct event_base;
struct service_question;

/*
 * What one step wants kept or forgotten: a function, its group and its container, and such as were
 * there before.
 */
#define VFIO_KEPT_NOTES 6

struct vfio_kept_note {
	char name[64];
	int fd; /* borrowed; -1: forget it */
};

/*
 * What the service manager has of VFIO beyond this process: the descriptors of functions, and what
 * functions share. A step leaves notes, and when it is over they are said.
 */
struct vfio_kept {
	struct vfio_kept_note notes[VFIO_KEPT_NOTES];
	size_t nr_notes;
	/* All of them have been done, or never will be. Called from the loop, or from where they are said. */
	void (*over)(void *data, int error);
	/* It takes longer than it should, for this reason; NULL: it is over. */
	void (*late)(void *data, const char *why);
	void *data;
	/* Its own. */
	struct service_question *question;
	struct event *retry;
	unsigned int nr_tries;
	unsigned int nr_nobody; /* tries in a row that found nobody there */
	bool must_be_sure;
	bool is_late;
	char why[128];
};

int vfio_kept_init(struct vfio_kept *kept, struct event_base *base);
void vfio_kept_done(struct vfio_kept *kept);

/* The next step begins. */
void vfio_kept_begin(struct vfio_kept *kept);
void vfio_kept_note(struct vfio_kept *kept, const char *name, int fd);
void vfio_kept_note_forget(struct vfio_kept *kept, const char *name);

/*
 * Has them kept. over() says with 0 that they are, or why that isn't known: then they end with this
 * process, as far as anybody can tell.
 */
void vfio_kept_keep(struct vfio_kept *kept);
/*
 * Has them forgotten, however long that takes: over() comes when their copies are closed, with -EOPNOTSUPP
 * where nobody keeps any, or with -ESHUTDOWN.
 */
void vfio_kept_forget(struct vfio_kept *kept);
/* This p2pd ends: over() now, if it is still to come. False: it isn't. */
bool vfio_kept_abandon(struct vfio_kept *kept);

#endif /* VFIO_KEPT_H */
