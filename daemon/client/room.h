/* SPDX-License-Identifier: MIT */
#ifndef ROOM_H
#define ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cause.h"
#include "common/list.h"

struct client;

/* What all users together may have of p2pd's descriptors; what each of them may is in its account. */
enum room_kind {
	ROOM_CONNECTION,
	ROOM_HOLDER,   /* a process that is watched */
	ROOM_TAKEN_UP, /* the same, for leases that are there already */
	ROOM_PUBLICATION,
	ROOM_UNREAD,  /* a lease's descriptor on its way */
	ROOM_METRICS, /* metrics on their way */
	ROOM_NR_KINDS,
};

struct room {
	int nofile;	/* the size of p2pd's table */
	int connection; /* numbers from there on are for no connection but administrators' */
	int holder;	/* and from there on for nothing that is new */
	int taken_up;	/* and from there on for nothing of anybody else */
	uint32_t most_unread;
	uint32_t most_texts;
	uint32_t nr_unread; /* descriptors queued, or not known to be read */
	uint32_t nr_texts;  /* metrics among them */
	struct list unread; /* clients that were sent some */
	uint64_t nr_refused[ROOM_NR_KINDS];
};

/* As much as the limit of this process says. */
void room_init(struct room *room);

/* May a user's descriptor have this number? Else -EDQUOT, with the cause; administrators aren't asked about. */
int room_check_fd(struct room *room, enum room_kind kind, int fd, struct cause *cause);
/* May no more of users' be on their way, after what was read meanwhile has been looked at? */
bool room_is_full(struct room *room, enum room_kind kind);
/* Then: -EDQUOT or -EBUSY, with the cause. */
int room_refuse(struct room *room, enum room_kind kind, struct cause *cause);

/* "holders", for metrics. */
const char *room_kind_name(enum room_kind kind);

#endif /* ROOM_H */
