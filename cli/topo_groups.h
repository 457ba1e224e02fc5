/* SPDX-License-Identifier: MIT */
#ifndef TOPO_GROUPS_H
#define TOPO_GROUPS_H

#include "topo.h"

/* A pair, as row and column and as nodes. */
struct topo_pair {
	size_t provider;
	size_t importer;
	struct p2pdma_pair nodes;
};

/* Pairs for which the same is to be changed at the same place. */
struct topo_group {
	enum topo_code code;
	struct p2pdma_path path; /* of the first; why and advice are those of all */
	struct topo_pair *pairs;
	size_t nr_pairs;
	size_t room;
	bool is_first; /* of those side by side that have the same advice */
	bool is_last;
};

struct topo_groups {
	struct topo_group *groups;
	size_t count;
	size_t room;
};

/* All pairs that have advice; then they are put in order. @provider, @importer: row and column. */
void topo_groups_add(struct topo_groups *groups, const struct topo *topo, size_t provider,
		     size_t importer, const struct p2pdma_path *path);
void topo_groups_finish(struct topo_groups *groups, const struct topo *topo);
void topo_groups_free(struct topo_groups *groups);

/* "0000:43:00.0/2 and 0000:44:00.0/2 to mlx5_2", or how many and one of them. */
void topo_group_format(const struct topo *topo, const struct topo_group *group, char *text,
		       size_t size);

#endif /* TOPO_GROUPS_H */
