// SPDX-License-Identifier: MIT
/*
 * Paths: which importers each provider reaches, and the ports whose ACS is in the way.
 *
 * Every pair is computed, and told twice: by provider, in one finding that counts, and by port, because
 * the port is what somebody has to change. A port is a problem where it blocks a pair, a warning
 * where it only takes the straight way from it. The remedy is one parameter of the kernel for all ports
 * of the machine that are a problem, and for warnings one that has these and all others: of several
 * parameters the kernel would take the last. State is kept for one examination, no locks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "path.h"

/* What is known of a port that redirects. */
struct port {
	char name[24];
	size_t nr_redirected;
	size_t nr_blocked;
	char example[96];
};

struct survey {
	struct doctor *doctor;
	size_t *importers;
	size_t nr_importers;
	struct port *ports;
	size_t nr_ports;
	size_t room;
};

/* One provider's pairs, counted. */
struct tally {
	size_t nr_straight;
	size_t nr_through;
	size_t nr_blocked;
	size_t nr_unknown;
	struct p2pdma_path worst; /* of those blocked, else unknown */
};

static struct port *find_port(struct survey *survey, const char *name)
{
	struct port *grown;

	for (size_t i = 0; i < survey->nr_ports; i++)
		if (!strcmp(survey->ports[i].name, name))
			return &survey->ports[i];
	if (survey->nr_ports == survey->room) {
		size_t room = survey->room ? survey->room * 2 : 16;

		grown = reallocarray(survey->ports, room, sizeof(*grown));
		if (!grown)
			return NULL;
		survey->ports = grown;
		survey->room = room;
	}
	grown = &survey->ports[survey->nr_ports++];
	memset(grown, 0, sizeof(*grown));
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	return grown;
}

static void note_port(struct port *port, const struct p2pdma_path *path, const char *pair)
{
	if (path->reason == P2PDMA_PATH_ACS_BLOCKED) {
		/* The one to quote is a pair that doesn't work. */
		if (!port->nr_blocked++)
			port->example[0] = '\0';
	} else {
		port->nr_redirected++;
	}
	if (!*port->example)
		snprintf(port->example, sizeof(port->example), "%s", pair);
}

/* Of what is at and below the port above both: higher up nothing is redirected any more. */
static void note_ports(struct survey *survey, const struct p2pdma_path *path, const char *pair)
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
		if (!port) {
			doctor_fail(survey->doctor, -ENOMEM);
			return;
		}
		note_port(port, path, pair);
	}
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

static void check_provider(struct survey *survey, const struct doctor_provider *provider)
{
	const struct p2pdma_topology *topology = survey->doctor->topology;
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	struct tally tally = {.nr_straight = 0};
	char pair[96];

	for (size_t k = 0; k < survey->nr_importers; k++) {
		if (survey->importers[k] == provider->index ||
		    p2pdma_topology_path(topology, provider->index, survey->importers[k], &path))
			continue;
		count(&tally, &path);
		if (path.reason != P2PDMA_PATH_ACS && path.reason != P2PDMA_PATH_ACS_BLOCKED)
			continue;
		snprintf(pair, sizeof(pair), "%s to %s", provider->name, path.importer);
		note_ports(survey, &path, pair);
	}
	tell_provider(survey->doctor, provider->name, &tally);
}

static int compare(const void *a, const void *b)
{
	const struct port *one = a, *other = b;

	return strcmp(one->name, other->name);
}

/* What to do about those that block, or about all. */
static void advise(const struct survey *survey, bool is_blocked, char *text, size_t size)
{
	const char **names = calloc(survey->nr_ports + 1, sizeof(*names));
	size_t nr_names = 0;

	text[0] = '\0';
	if (!names) {
		doctor_fail(survey->doctor, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < survey->nr_ports; i++)
		if (!is_blocked || survey->ports[i].nr_blocked)
			names[nr_names++] = survey->ports[i].name;
	topology_advise_acs(survey->doctor->topology, names, nr_names, text, size);
	free(names);
}

static void tell_ports(const struct survey *survey)
{
	char blocked_advice[1024], advice[1024];
	struct doctor *doctor = survey->doctor;

	if (survey->nr_ports)
		qsort(survey->ports, survey->nr_ports, sizeof(*survey->ports), compare);
	advise(survey, true, blocked_advice, sizeof(blocked_advice));
	advise(survey, false, advice, sizeof(advice));
	for (size_t i = 0; i < survey->nr_ports; i++) {
		const struct port *port = &survey->ports[i];

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
		if (port->nr_blocked)
			doctor_advise(doctor, "%s", blocked_advice);
		else
			doctor_advise(doctor, "for the direct way %s", advice);
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
		for (size_t i = 0; i < doctor->nr_providers; i++)
			check_provider(&survey, &doctor->providers[i]);
		tell_ports(&survey);
	}
	free(survey.importers);
	free(survey.ports);
}
