// SPDX-License-Identifier: MIT
/*
 * Pairs of a provider and an importer that could do better, put together by what is in their way: below one
 * switch whose ports redirect, or across a host bridge that doesn't forward, one sentence says it for
 * all of them, and one change helps them all.
 *
 * What is in the way by ACS has one remedy for all groups, since the kernel takes one parameter.
 *
 * Groups are kept in the order in which people want them: what doesn't work before what takes a detour,
 * and what has the same remedy side by side, so that it need be told only once. The library finds the
 * words. No memory ends the program.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo_groups.h"

#define MAX_NAMES 4

static void *grow(void *elements, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return elements;
	*room = *room ? *room * 2 : 16;
	elements = reallocarray(elements, *room, size);
	if (!elements)
		errx(EXIT_FAILED, "out of memory");
	return elements;
}

static struct topo_group *find_group(struct topo_groups *groups, const struct p2pdma_path *path)
{
	struct topo_group *group;

	for (size_t i = 0; i < groups->count; i++) {
		group = &groups->groups[i];
		if (group->path.reason == path->reason && !strcmp(group->path.place, path->place))
			return group;
	}
	groups->groups = grow(groups->groups, groups->count, &groups->room, sizeof(*group));
	group = &groups->groups[groups->count++];
	*group = (struct topo_group){.code = topo_code(path), .path = *path};
	return group;
}

void topo_groups_add(struct topo_groups *groups, const struct topo *topo, size_t provider,
		     size_t importer, const struct p2pdma_path *path)
{
	struct topo_group *group;

	if (!*path->advice)
		return;
	group = find_group(groups, path);
	group->pairs = grow(group->pairs, group->nr_pairs, &group->room, sizeof(*group->pairs));
	group->pairs[group->nr_pairs++] = (struct topo_pair){
		provider, importer, {topo->providers[provider], topo->importers[importer]}};
}

static bool is_by_acs(const struct topo_group *group)
{
	return group->path.reason == P2PDMA_PATH_ACS ||
	       group->path.reason == P2PDMA_PATH_ACS_BLOCKED;
}

static struct p2pdma_pair *must_pairs(size_t count)
{
	struct p2pdma_pair *pairs = calloc(count + 1, sizeof(*pairs));

	if (!pairs)
		errx(EXIT_FAILED, "out of memory");
	return pairs;
}

static size_t take_pairs(const struct topo_group *group, struct p2pdma_pair *pairs)
{
	for (size_t i = 0; i < group->nr_pairs; i++)
		pairs[i] = group->pairs[i].nodes;
	return group->nr_pairs;
}

static void advise(const struct topo *topo, const struct p2pdma_pair *pairs, size_t nr_pairs,
		   struct p2pdma_path *ret_path)
{
	ret_path->size_bytes = sizeof(*ret_path);
	if (p2pdma_topology_advise(topo->topology, pairs, nr_pairs, ret_path))
		errx(EXIT_FAILED, "this p2pctl is newer than its library");
}

/* The words for all pairs of a group. */
static void take_words(const struct topo *topo, struct topo_group *group)
{
	struct p2pdma_pair *pairs = must_pairs(group->nr_pairs);

	advise(topo, pairs, take_pairs(group, pairs), &group->path);
	free(pairs);
}

/*
 * The kernel takes one parameter against ACS: it is the same for all groups that are blocked, and for those
 * that take a detour one that has theirs in it, too.
 */
static void take_parameter(const struct topo *topo, const struct topo_groups *groups,
			   struct topo_group *group)
{
	struct p2pdma_pair *pairs;
	struct p2pdma_path path;
	size_t nr_pairs = 0;

	for (size_t i = 0; i < groups->count; i++)
		nr_pairs += groups->groups[i].nr_pairs;
	pairs = must_pairs(nr_pairs);
	/* Its own first: they say what it is good for. */
	nr_pairs = take_pairs(group, pairs);
	for (size_t i = 0; i < groups->count; i++) {
		const struct topo_group *other = &groups->groups[i];

		if (other != group && is_by_acs(other) &&
		    (group->path.reason == P2PDMA_PATH_ACS ||
		     other->path.reason == P2PDMA_PATH_ACS_BLOCKED))
			nr_pairs += take_pairs(other, pairs + nr_pairs);
	}
	advise(topo, pairs, nr_pairs, &path);
	memcpy(group->path.advice, path.advice, sizeof(path.advice));
	free(pairs);
}

static int rank(const struct topo_group *group)
{
	return group->code == TOPO_NO ? 0 : group->code == TOPO_UNKNOWN ? 1 : 2;
}

static bool is_together(const struct topo_group *one, const struct topo_group *other)
{
	return one->code == other->code && !strcmp(one->path.advice, other->path.advice);
}

/* Moves what is at @from to @to, before it; what is between moves on. */
static void move(struct topo_group *groups, size_t from, size_t to)
{
	struct topo_group moved = groups[from];

	memmove(&groups[to + 1], &groups[to], (from - to) * sizeof(*groups));
	groups[to] = moved;
}

void topo_groups_finish(struct topo_groups *groups, const struct topo *topo)
{
	struct topo_group *all = groups->groups;

	for (size_t i = 0; i < groups->count; i++)
		take_words(topo, &all[i]);
	for (size_t i = 0; i < groups->count; i++)
		if (is_by_acs(&all[i]))
			take_parameter(topo, groups, &all[i]);
	for (size_t i = 0; i < groups->count; i++) {
		size_t best = i;

		for (size_t k = i + 1; k < groups->count; k++)
			if (rank(&all[k]) < rank(&all[best]))
				best = k;
		/* What belongs to the one before is of its rank. */
		for (size_t k = groups->count; i && k-- > i;)
			if (is_together(&all[i - 1], &all[k]))
				best = k;
		move(all, best, i);
		all[i].is_first = !i || !is_together(&all[i - 1], &all[i]);
	}
	for (size_t i = 0; i < groups->count; i++)
		all[i].is_last = i + 1 == groups->count || all[i + 1].is_first;
}

void topo_groups_free(struct topo_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->groups[i].pairs);
	free(groups->groups);
}

/* "a, b and c", "a, b, c, d and 3 more": those that are marked. */
struct names {
	char *text;
	size_t size;
	size_t nr_names;
	size_t nr_done;
};

static void add_name(struct names *names, const char *name)
{
	size_t length = strlen(names->text);
	bool is_last = names->nr_done + 1 == names->nr_names;

	if (names->nr_done < MAX_NAMES)
		snprintf(names->text + length, names->size - length, "%s%s",
			 !names->nr_done ? "" :
			 is_last	 ? " and " :
					   ", ",
			 name);
	else if (is_last)
		snprintf(names->text + length, names->size - length, " and %zu more",
			 names->nr_names - MAX_NAMES);
	names->nr_done++;
}

static size_t count_marked(const bool *is_marked, size_t count)
{
	size_t nr_marked = 0;

	for (size_t i = 0; i < count; i++)
		nr_marked += is_marked[i];
	return nr_marked;
}

static void name_all(const struct topo *topo, const bool *is_provider, const bool *is_importer,
		     char *text, size_t size)
{
	struct names names = {text, size, count_marked(is_provider, topo->nr_providers), 0};
	char name[40];

	text[0] = '\0';
	for (size_t i = 0; i < topo->nr_providers; i++) {
		topo_provider_name(topo, i, name, sizeof(name));
		if (is_provider[i])
			add_name(&names, name);
	}
	strncat(text, " to ", size - strlen(text) - 1);
	names.nr_names = count_marked(is_importer, topo->nr_importers);
	names.nr_done = 0;
	for (size_t k = 0; k < topo->nr_importers; k++)
		if (is_importer[k])
			add_name(&names, topo_importer_name(topo, k));
}

void topo_group_format(const struct topo *topo, const struct topo_group *group, char *text,
		       size_t size)
{
	bool *is_provider = calloc(topo->nr_providers + 1, sizeof(bool));
	bool *is_importer = calloc(topo->nr_importers + 1, sizeof(bool));
	size_t nr_pairs;
	char name[40];

	if (!is_provider || !is_importer)
		errx(EXIT_FAILED, "out of memory");
	for (size_t i = 0; i < group->nr_pairs; i++) {
		is_provider[group->pairs[i].provider] = true;
		is_importer[group->pairs[i].importer] = true;
	}
	nr_pairs = count_marked(is_provider, topo->nr_providers) *
		   count_marked(is_importer, topo->nr_importers);
	topo_provider_name(topo, group->pairs[0].provider, name, sizeof(name));
	if (nr_pairs == group->nr_pairs)
		name_all(topo, is_provider, is_importer, text, size);
	else
		snprintf(text, size, "%zu pairs, such as %s to %s", group->nr_pairs, name,
			 topo_importer_name(topo, group->pairs[0].importer));
	free(is_provider);
	free(is_importer);
}
