// SPDX-License-Identifier: MIT
/*
 * Room: p2pd's descriptors as a whole.
 *
 * Users have a limit each, but somebody with a range of user namespaces' uids is as many users as they
 * like. So the table of descriptors has four parts, by number, since the lowest free one is always
 * taken next:
 *
 *	0 ...        connections, holders that are watched, publications
 *	connection   no more connections of users: those that are there can still be granted leases
 *	holder       nothing new of users: leases that are there can still be taken up
 *	taken up     nothing of users any more: for administrators, who can end that, and for what
 *	             taking back needs, whoever's lease it is
 *
 * What waits to be sent has a place in it, too: beyond those of holders nothing of a user's waits.
 *
 * The kernel lets as many be in flight as the table has places. Of those, the last are for
 * administrators as well, and metrics, which anybody may ask for, are no more than half. What is in flight is
 * known when somebody looks; who has read and then sleeps is looked at when the bound is reached, some at a
 * time, in turn.
 */
#include <errno.h>
#include <limits.h>
#include <sys/resource.h>

#include "client.h"
#include "room.h"

#define OF_CONNECTIONS 16 /* one of so many is for no connection */
#define OF_HOLDERS     32 /* one of so many is for nothing new */
#define OF_TAKEN_UP    64 /* one of so many is for administrators */
#define LOOKED_AT      256

static const char *const names[ROOM_NR_KINDS] = {
	[ROOM_CONNECTION] = "connections", [ROOM_HOLDER] = "holders",
	[ROOM_TAKEN_UP] = "taken-up",	   [ROOM_PUBLICATION] = "publications",
	[ROOM_UNREAD] = "unread",	   [ROOM_METRICS] = "metrics",
};

static const char *const things[ROOM_NR_KINDS] = {
	[ROOM_CONNECTION] = "for another connection",
	[ROOM_HOLDER] = "to watch another holder of leases",
	[ROOM_TAKEN_UP] = "to watch another holder of leases",
	[ROOM_PUBLICATION] = "for another publication",
	[ROOM_UNREAD] = "for another lease on its way",
	[ROOM_METRICS] = "for more metrics on their way",
};

void room_init(struct room *room)
{
	struct rlimit limit;

	*room = (struct room){.nofile = INT_MAX,
			      .connection = INT_MAX,
			      .holder = INT_MAX,
			      .taken_up = INT_MAX,
			      .most_unread = UINT32_MAX,
			      .most_texts = UINT32_MAX};
	list_init(&room->unread);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
		return;
	room->nofile = (int)limit.rlim_cur;
	room->connection = room->nofile - room->nofile / OF_CONNECTIONS;
	room->holder = room->nofile - room->nofile / OF_HOLDERS;
	room->taken_up = room->nofile - room->nofile / OF_TAKEN_UP;
	room->most_unread = (uint32_t)room->holder;
	room->most_texts = (uint32_t)room->nofile / 2;
}

static uint32_t most_of(const struct room *room, enum room_kind kind)
{
	switch (kind) {
	case ROOM_CONNECTION:
		return (uint32_t)room->connection;
	case ROOM_TAKEN_UP:
		return (uint32_t)room->taken_up;
	case ROOM_UNREAD:
		return room->most_unread;
	case ROOM_METRICS:
		return room->most_texts;
	default:
		return (uint32_t)room->holder;
	}
}

int room_refuse(struct room *room, enum room_kind kind, struct cause *cause)
{
	bool is_worth_waiting = kind == ROOM_METRICS || kind == ROOM_TAKEN_UP;

	room->nr_refused[kind]++;
	/* Metrics are there again in a moment, a lease for a while; what else there is stays. */
	return cause_fail(cause, is_worth_waiting ? -EBUSY : -EDQUOT,
			  "p2pd has no room %s: all users together have %u of its %d descriptors; "
			  "its administrator can end some of that, or raise LimitNOFILE= of p2pd",
			  things[kind], most_of(room, kind), room->nofile);
}

int room_check_fd(struct room *room, enum room_kind kind, int fd, struct cause *cause)
{
	return fd < (int)most_of(room, kind) ? 0 : room_refuse(room, kind, cause);
}

static bool is_reached(const struct room *room, enum room_kind kind)
{
	return room->nr_unread >= room->most_unread ||
	       (kind == ROOM_METRICS && room->nr_texts >= room->most_texts);
}

/* Whose descriptors are still unread goes to the end. */
static void look(struct room *room)
{
	for (int i = 0; i < LOOKED_AT && !list_is_empty(&room->unread); i++) {
		struct client *first = list_entry(room->unread.next, struct client, link_of_room);

		list_remove(&first->link_of_room);
		list_append(&room->unread, &first->link_of_room);
		client_settle_fds(first);
	}
}

bool room_is_full(struct room *room, enum room_kind kind)
{
	if (!is_reached(room, kind))
		return false;
	look(room);
	return is_reached(room, kind);
}

const char *room_kind_name(enum room_kind kind)
{
	return (size_t)kind < ROOM_NR_KINDS ? names[kind] : "unknown";
}
