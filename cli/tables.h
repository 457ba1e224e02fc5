/* SPDX-License-Identifier: MIT */
#ifndef TABLES_H
#define TABLES_H

#include "table.h"

/* The table of leases, which several commands print. */
struct table *lease_table_new(const struct cli *cli);
void lease_table_add(struct table *table, const struct p2pdma_lease_info *lease);

#endif /* TABLES_H */
