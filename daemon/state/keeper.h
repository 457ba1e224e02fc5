/* SPDX-License-Identifier: MIT */
#ifndef KEEPER_H
#define KEEPER_H

#include <stddef.h>
#include <sys/types.h>

/* What keeper.c and keeper_store.c share: the keeper, which is one process. */

#define KEEPER_MOST	 16384
#define KEEPER_NAME_SIZE 64

struct kept {
	int fd;
	char name[KEEPER_NAME_SIZE];
};

struct keeper {
	struct kept kept[KEEPER_MOST];
	size_t count;
	int notify_fd;
	int signal_fd;
	int address_fd; /* of the socket's file, O_PATH */
	pid_t child;
};

extern struct keeper keeper;

/* What p2pd has said and wasn't heard yet, @most datagrams of it. */
void keeper_hear(unsigned int most);

#endif /* KEEPER_H */
