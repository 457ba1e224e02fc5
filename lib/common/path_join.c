// SPDX-License-Identifier: MIT
/*
 * Several paths as one: pairs whose paths have the same reason at the same place are helped by the same
 * remedy, if it names all ports that are in the way of any of them. Where ACS redirects they are helped by
 * one wherever they are: of several parameters the kernel takes the last.
 *
 * Ports are kept in the tree's order, which is that of their addresses, so that the sentences don't depend on
 * which pair came first. Pure functions.
 */
#include <string.h>

#include "path.h"

int32_t path_place(const struct path *path)
{
	switch (path->reason) {
	case PATH_REASON_HOST_BRIDGE:
	case PATH_REASON_NOT_FORWARDED:
	case PATH_REASON_DIFFERENT_HOSTS:
	case PATH_REASON_HOST_UNKNOWN:
		return path->host;
	default:
		return path->common;
	}
}

/* What has no room is left out: the sentences name no more than a few. */
static void insert(int32_t index, int32_t *indices, size_t *count)
{
	size_t at = 0;

	while (at < *count && indices[at] < index)
		at++;
	if ((at < *count && indices[at] == index) || *count == PATH_MAX_HOPS)
		return;
	memmove(indices + at + 1, indices + at, (*count - at) * sizeof(*indices));
	indices[at] = index;
	(*count)++;
}

/* One after the other into what is empty: sorted. */
static void unite(const int32_t *other, size_t nr_other, int32_t *indices, size_t *count)
{
	int32_t united[PATH_MAX_HOPS];
	size_t nr_united = 0;

	for (size_t i = 0; i < *count; i++)
		insert(indices[i], united, &nr_united);
	for (size_t i = 0; i < nr_other; i++)
		insert(other[i], united, &nr_united);
	memcpy(indices, united, nr_united * sizeof(*indices));
	*count = nr_united;
}

static bool is_by_acs(const struct path *path)
{
	return path->reason == PATH_REASON_ACS || path->reason == PATH_REASON_ACS_BLOCKED;
}

bool path_join(const struct path *other, struct path *path)
{
	bool is_acs = is_by_acs(path) && is_by_acs(other);

	if (!is_acs && (path->reason != other->reason || path_place(path) != path_place(other)))
		return false;
	if (path_place(path) != path_place(other))
		path->common = -1;
	path->is_mixed |= path->reason != other->reason;
	if (path->host != other->host)
		path->host = -1;
	if (path->direct != other->direct)
		path->direct = PATH_REASON_COMMON_PORT;
	unite(other->redirects, other->nr_redirects, path->redirects, &path->nr_redirects);
	unite(other->hidden, other->nr_hidden, path->hidden, &path->nr_hidden);
	if (path->provider_host != other->provider_host)
		path->provider_host = -1;
	return true;
}
