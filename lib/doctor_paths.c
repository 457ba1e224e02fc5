// SPDX-License-Identifier: MIT
/*
 * Paths: which importers each provider reaches, and the ports whose ACS is in the way.
 *
 * Every pair is computed, and told twice: by provider, in one finding that counts, and by port, because
 * the port is what somebody has to change. A port is a problem where it blocks a pair, a warning
 * where it only takes the straight way from it. What is to be done is the same for all ports below one
 * switch: the remedy is that of all pairs whose reason is there. State is kept for one examination, no
 * locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "doctor.h"

/* Pairs with the same reason at the same place, and so one remedy. */
struct site {
	uint32_t reason;
	char place[24];
	struct p2pdma_pair *pairs;
	size_t nr_pairs;
	size_t room;
};

/* What is known of a port that redirects. */
struct port {
	char name[24];
	size_t nr_redirected;
	size_t nr_blocked;
	char example[96];
	size_t site; /* of the example */
};

struct survey {
	struct doctor *doctor;
	size_t *importers;
	size_t nr_importers;
	struct port *ports;
	size_t nr_ports;
	size_t port_room;
	struct site *sites;
	size_t nr_sites;
	size_t site_room;
};

/* One provider's pairs, counted. */
struct tally {
	size_t nr_straight;
	size_t nr_through;
	size_t nr_blocked;
	size_t nr_unknown;
	struct p2pdma_path worst; /* of those blocked, else unknown */
};

/* An array with room for one more, which is zeroed; NULL: no memory, and it is as it was. */
static void *grow(void *elements, size_t count, size_t *room, size_t size)
{
	if (count == *room) {
		size_t wanted = *room ? *room * 2 : 16;

		elements = reallocarray(elements, wanted, size);
		if (!elements)
			return NULL;
		*room = wanted;
	}
	memset((char *)elements + count * size, 0, size);
	return elements;
}

static struct port *find_port(struct survey *survey, const char *name)
{
	struct port *ports;

	for (size_t i = 0; i < survey->nr_ports; i++)
		if (!strcmp(survey->ports[i].name, name))
			return &survey->ports[i];
	ports = grow(survey->ports, survey->nr_ports, &survey->port_room, sizeof(*ports));
	if (!ports)
		return NULL;
	survey->ports = ports;
	snprintf(ports[survey->nr_ports].name, sizeof(ports->name), "%s", name);
	return &ports[survey->nr_ports++];
}

/* Adds the pair to its site; that one's index, or -ENOMEM. */
static ssize_t note_pair(struct survey *survey, const struct p2pdma_path *path,
			 const struct p2pdma_pair *pair)
{
	struct p2pdma_pair *pairs;
	struct site *sites;
	size_t i = 0;

	while (i < survey->nr_sites && (survey->sites[i].reason != path->reason ||
					strcmp(survey->sites[i].place, path->place) != 0))
		i++;
	if (i == survey->nr_sites) {
		sites = grow(survey->sites, i, &survey->site_room, sizeof(*sites));
		if (!sites)
			return -ENOMEM;
		survey->sites = sites;
		sites[i].reason = path->reason;
		memcpy(sites[i].place, path->place, sizeof(path->place));
		survey->nr_sites++;
	}
	sites = &survey->sites[i];
	pairs = grow(sites->pairs, sites->nr_pairs, &sites->room, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	sites->pairs = pairs;
	pairs[sites->nr_pairs++] = *pair;
	return (ssize_t)i;
}

static void note_port(struct port *port, const struct p2pdma_path *path, size_t site,
		      const char *pair)
{
	if (path->reason == P2PDMA_PATH_ACS_BLOCKED) {
		/* The one to quote is a pair that doesn't work. */
		if (!port->nr_blocked++)
			port->example[0] = '\0';
	} else {
		port->nr_redirected++;
	}
	if (*port->example)
		return;
	snprintf(port->example, sizeof(port->example), "%s", pair);
	port->site = site;
}

/* Of what is at and below the port above both: higher up nothing is redirected any more. */
static int note_ports(struct survey *survey, const struct p2pdma_path *path, size_t site,
		      const char *pair)
{
	uint32_t up = 0, down = path->nr_hops;

	while (up < path->nr_hops && strcmp(path->hops[up].name, path->place) != 0)
		up++;
	while (down > 0 && strcmp(path->hops[down - 1].name, path->place) != 0)
		down--;
	for (uint32_t i = 0; i < path->nr_hops; i++) {
		struct port *port;

		if (!(path->hops[i].flags & P2PDMA_NODE_REDIRECTS) || (i > up && i < down))
			continue;
		port = find_port(survey, path->hops[i].name);
		if (!port)
			return -ENOMEM;
		note_port(port, path, site, pair);
	}
	return 0;
}

static void note_acs(struct survey *survey, const char *subject, const struct p2pdma_path *path,
		     const struct p2pdma_pair *pair)
{
	ssize_t site = note_pair(survey, path, pair);
	char text[96];
	int r = (int)site;

	snprintf(text, sizeof(text), "%s to %s", subject, path->importer);
	if (site >= 0)
		r = note_ports(survey, path, (size_t)site, text);
	if (r < 0)
		doctor_fail(survey->doctor, r);
}

static void count(struct tally *tally, const struct p2pdma_path *path)
{
	switch (path->map_type) {
	case P2PDMA_MAP_BUS_ADDR:
		tally->nr_straight++;
		break;
	case P2PDMA_MAP_THRU_HOST_BRIDGE:
		tally->nr_through++;
		break;
	case P2PDMA_MAP_NOT_SUPPORTED:
		if (!tally->nr_blocked++)
			tally->worst = *path;
		break;
	default:
		/* It works, whichever way. */
		if (path->flags & P2PDMA_PATH_POSSIBLE)
			tally->nr_through++;
		else if (!tally->nr_unknown++ && !tally->nr_blocked)
			tally->worst = *path;
	}
}

static void tell_provider(struct doctor *doctor, const char *subject, const struct tally *tally)
{
	size_t nr_works = tally->nr_straight + tally->nr_through;
	uint32_t severity = P2PDMA_SEVERITY_OK;

	if (!nr_works && tally->nr_blocked)
		severity = tally->nr_unknown ? P2PDMA_SEVERITY_WARNING : P2PDMA_SEVERITY_PROBLEM;
	else if (tally->nr_blocked)
		severity = P2PDMA_SEVERITY_WARNING;
	else if (tally->nr_unknown)
		severity = P2PDMA_SEVERITY_UNKNOWN;
	if (severity == P2PDMA_SEVERITY_OK) {
		doctor_add(doctor, DOCTOR_PROVIDER_PATH, severity, subject,
			   "reaches %zu importers straight and %zu through the host bridge",
			   tally->nr_straight, tally->nr_through);
		return;
	}
	doctor_add(doctor, DOCTOR_PROVIDER_PATH, severity, subject,
		   "reaches %zu importers, %zu not, of %zu it can't be told; %s: %s", nr_works,
		   tally->nr_blocked, tally->nr_unknown, tally->worst.importer, tally->worst.why);
	doctor_advise(doctor, "%s", tally->worst.advice);
}

static void check_provider(struct survey *survey, size_t index, const struct p2pdma_node *node)
{
	const struct p2pdma_topology *topology = survey->doctor->topology;
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	struct tally tally = {.nr_straight = 0};
	char subject[40];

	snprintf(subject, sizeof(subject), "%s/%" PRIu32, node->name, node->bar);
	for (size_t k = 0; k < survey->nr_importers; k++) {
		const struct p2pdma_pair pair = {index, survey->importers[k]};

		if (pair.importer == index ||
		    p2pdma_topology_path(topology, index, pair.importer, &path))
			continue;
		count(&tally, &path);
		if (path.reason == P2PDMA_PATH_ACS || path.reason == P2PDMA_PATH_ACS_BLOCKED)
			note_acs(survey, subject, &path, &pair);
	}
	tell_provider(survey->doctor, subject, &tally);
}

static void tell_ports(const struct survey *survey)
{
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	struct doctor *doctor = survey->doctor;

	for (size_t i = 0; i < survey->nr_ports; i++) {
		const struct port *port = &survey->ports[i];
		const struct site *site = &survey->sites[port->site];

		if (port->nr_blocked)
			doctor_add(
				doctor, DOCTOR_ACS_PORT, P2PDMA_SEVERITY_PROBLEM, port->name,
				"ACS redirects requests between peers to a host bridge that isn't "
				"known to forward them: %zu pairs don't work, such as %s",
				port->nr_blocked, port->example);
		else
			doctor_add(
				doctor, DOCTOR_ACS_PORT, P2PDMA_SEVERITY_WARNING, port->name,
				"ACS redirects requests between peers: %zu pairs go up to the host "
				"bridge, such as %s",
				port->nr_redirected, port->example);
		if (!p2pdma_topology_advise(doctor->topology, site->pairs, site->nr_pairs, &path))
			doctor_advise(doctor, "%s", path.advice);
	}
	if (!survey->nr_ports)
		doctor_add(
			doctor, DOCTOR_ACS_PORT, P2PDMA_SEVERITY_OK, "machine",
			"no port is seen to redirect requests between a provider and an importer");
}

/* False: no memory, or none is there. */
static bool find_importers(struct survey *survey)
{
	const struct p2pdma_topology *topology = survey->doctor->topology;

	survey->importers = calloc(p2pdma_topology_count(topology) + 1, sizeof(size_t));
	if (!survey->importers)
		doctor_fail(survey->doctor, -ENOMEM);
	for (size_t i = 0; survey->importers && i < p2pdma_topology_count(topology); i++) {
		struct p2pdma_node node = P2PDMA_NODE_INIT;

		p2pdma_topology_node(topology, i, &node);
		if (node.flags & P2PDMA_NODE_IMPORTER)
			survey->importers[survey->nr_importers++] = i;
	}
	return survey->nr_importers;
}

void doctor_check_paths(struct doctor *doctor)
{
	struct survey survey = {.doctor = doctor};

	if (find_importers(&survey)) {
		for (size_t i = 0; i < p2pdma_topology_count(doctor->topology); i++) {
			struct p2pdma_node node = P2PDMA_NODE_INIT;

			p2pdma_topology_node(doctor->topology, i, &node);
			if (doctor_is_provider(&node))
				check_provider(&survey, i, &node);
		}
		tell_ports(&survey);
	}
	free(survey.importers);
	free(survey.ports);
	for (size_t i = 0; i < survey.nr_sites; i++)
		free(survey.sites[i].pairs);
	free(survey.sites);
}
