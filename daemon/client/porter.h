/* SPDX-License-Identifier: MIT */
#ifndef PORTER_H
#define PORTER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/wire.h"

/* Between p2pd (intake.c) and the process that has its peers' descriptors (porter.c). */

enum porter_task {
	PORTER_TAKE,  /* the next packet of a connection, which p2pd has, too, until the answer */
	PORTER_KEEP,  /* the connection itself, with what is in it; no answer, but then comes: */
	PORTER_CLOSE, /* what it kept: p2pd doesn't have it any more */
};

/* A connection comes along, but with CLOSE. */
struct porter_order {
	uint32_t task; /* enum porter_task */
	uint32_t slot; /* what p2pd calls it */
};

enum porter_news {
	PORTER_DONE,   /* the answer to an order */
	PORTER_CLOSED, /* one of the descriptors of a slot is closed */
};

struct porter_said {
	uint32_t news; /* enum porter_news */
	uint32_t slot;
	int32_t error;	  /* of taking the packet */
	int32_t fd;	  /* -1, INTAKE_NO_DMABUF, or 0: one comes along */
	uint32_t nr_kept; /* descriptors that are still to be closed */
	uint32_t size_bytes;
	uint8_t bytes[WIRE_MESSAGE_MAX];
};

#define PORTER_SAID_BYTES offsetof(struct porter_said, bytes)

/* In the child: answers to @fd until nobody is there, or @parent has ended. */
_Noreturn void porter_run(int fd, pid_t parent);

#endif /* PORTER_H */
