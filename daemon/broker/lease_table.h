/* SPDX-License-Identifier: MIT */
#ifndef LEASE_TABLE_H
#define LEASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct lease;

/* All leases by id, and in order of their ids. */
struct lease_table {
	struct lease_slot {
		uint64_t id;
		struct lease *lease; /* NULL: it was removed */
	} * slots;		     /* by id, which only grow: a new one goes to the end */
	size_t count;		     /* leases */
	size_t end;		     /* slots in use, emptied ones included */
	size_t room;
};

void lease_table_done(struct lease_table *table);

/* Cheap where the id is above all others, as those of new leases are. -ENOMEM. */
int lease_table_add(struct lease_table *table, struct lease *lease);
void lease_table_remove(struct lease_table *table, const struct lease *lease);
/* NULL: none. */
struct lease *lease_table_find(const struct lease_table *table, uint64_t id);
/* The first with an id above @id, NULL for none: a walk that bears removals. */
struct lease *lease_table_after(const struct lease_table *table, uint64_t id);

#endif /* LEASE_TABLE_H */
