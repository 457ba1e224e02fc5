/* SPDX-License-Identifier: MIT */
#ifndef INTAKE_STATE_H
#define INTAKE_STATE_H

#include "charges.h"
#include "intake.h"
#include "porter.h"

/* What intake.c and intake_porter.c share. */

/* A porter that doesn't answer for so long isn't waited for. */
#define INTAKE_ANSWER_S 10

struct porter {
	struct list link;
	struct intake *intake;
	struct client *client; /* whose packet it takes; NULL: none, or it is gone */
	bool is_busy;	       /* with an order */
	bool is_retired;       /* gets no more of them */
	int fd;
	struct event *event;
	struct charges charges;
	uint64_t nr_kept; /* descriptors that aren't closed */
};

/* A connection to close. */
struct leftover {
	struct list link;
	int fd;
	struct account *account; /* charged for a connection; NULL: nobody's */
};

struct intake {
	struct server *server;
	struct list porters;
	struct porter *current; /* NULL: the next order makes one */
	struct event *watchdog;
	struct list waiting;   /* clients, by link_of_intake */
	struct list leftovers; /* connections */
	size_t nr_porters;
	uint64_t most_kept; /* by one porter */
};

/* -- porters (intake_porter.c) -- */

/* NULL: there can't be another. It is the current one then. */
struct porter *intake_porter_new(struct intake *intake);
/* @connection: -1 is none. -EAGAIN: not now. Any other error: this porter gets no orders any more. */
int intake_porter_order(struct porter *porter, enum porter_task task, uint32_t slot,
			int connection);
/* What it says next. It may be freed by that. */
void intake_porter_hear(struct porter *porter);
/* It doesn't answer, or can't be told: it ends when it can, and what it has counts until then. */
void intake_porter_leave(struct porter *porter, const char *why);
void intake_porter_end(struct porter *porter);

/* -- orders (intake.c) -- */

/* The next ones, if they can be given now. */
void intake_go_on(struct intake *intake);

#endif /* INTAKE_STATE_H */
