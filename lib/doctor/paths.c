// SPDX-License-Identifier: MIT
/*
 * Paths: which importers each provider reaches, and the ports whose ACS is in the way.
 *
 * Every pair is computed, and told twice: by provider, in one finding that counts, and by port, because
 * the port is what somebody has to change. Where p2pdma_export has the provider the kernel is asked, too:
 * its answer counts, and one that isn't what was computed is told besides.
 *
 * A port is a problem where it blocks a pair, a warning where it only takes the straight way from
 * it; that no port does is only said where all of them can be seen. The remedy is one parameter of
 * the kernel for all ports of the machine that are a problem, and for warnings one that has these
 * and all others: of several parameters the kernel would take the last. State is kept for one
 * examination, no locks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "path/path.h"

/* "0000:41:00.0/2 to mlx5_0" */
#define PAIR_SIZE (PCI_PROVIDER_NAME_SIZE + 72)

/* What is known of a port that redirects. */
struct port {
	char name[24];
	size_t nr_redirected;
	size_t nr_blocked;
	char example[PAIR_SIZE];
};

struct importer {
	size_t index; /* of the topology */
	struct pci_address address;
	char name[64]; /* of its device; of the function, where that has none */
};

struct survey {
	struct doctor *doctor;
	struct importer *importers;
	size_t nr_importers;
	size_t nr_asked;     /* pairs that the kernel has answered */
	size_t nr_disagrees; /* of these, not as computed */
	size_t nr_hidden;    /* pairs whose ACS can't be seen */
	char hidden_example[PAIR_SIZE];
	struct port *ports;
	size_t nr_ports;
	size_t room;
};

/* One provider's pairs, counted. */
struct tally {
	size_t nr_straight;
	size_t nr_through;
	size_t nr_either; /* it works, but which of these it is isn't shown */
	size_t nr_blocked;
	size_t nr_unknown;
	const struct importer *to; /* of the worst */
	struct p2pdma_path worst;  /* of those blocked, else unknown */
	size_t nr_disagrees;
	const struct importer *odd_to;
	struct p2pdma_path odd; /* the first of them */
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

static void count(struct tally *tally, const struct p2pdma_path *path, const struct importer *to)
{
	bool is_worst = false;

	switch (path->map_type) {
	case P2PDMA_MAP_BUS_ADDR:
		tally->nr_straight++;
		break;
	case P2PDMA_MAP_THRU_HOST_BRIDGE:
		tally->nr_through++;
		break;
	case P2PDMA_MAP_NOT_SUPPORTED:
		is_worst = !tally->nr_blocked++;
		break;
	default:
		if (path->flags & P2PDMA_PATH_POSSIBLE)
			tally->nr_either++;
		else
			is_worst = !tally->nr_unknown++ && !tally->nr_blocked;
	}
	if (!is_worst)
		return;
	tally->worst = *path;
	tally->to = to;
}

static void tell_provider(struct doctor *doctor, const char *subject, const struct tally *tally)
{
	size_t nr_works = tally->nr_straight + tally->nr_through + tally->nr_either;
	uint32_t severity = P2PDMA_SEVERITY_UNKNOWN;

	if (!tally->nr_blocked && !tally->nr_unknown) {
		if (tally->nr_either)
			doctor_add(doctor, DOCTOR_PROVIDER_PATH, P2PDMA_SEVERITY_OK, subject,
				   "reaches %zu importers straight, %zu through the host bridge, "
				   "and %zu in a way that is only shown to CAP_SYS_ADMIN",
				   tally->nr_straight, tally->nr_through, tally->nr_either);
		else
			doctor_add(doctor, DOCTOR_PROVIDER_PATH, P2PDMA_SEVERITY_OK, subject,
				   "reaches %zu importers straight and %zu through the host bridge",
				   tally->nr_straight, tally->nr_through);
		return;
	}
	if (tally->nr_blocked)
		severity = nr_works || tally->nr_unknown ? P2PDMA_SEVERITY_WARNING :
							   P2PDMA_SEVERITY_PROBLEM;
	doctor_add(doctor, DOCTOR_PROVIDER_PATH, severity, subject,
		   "reaches %zu importers, %zu not, of %zu it can't be told; %s: %s", nr_works,
		   tally->nr_blocked, tally->nr_unknown, tally->to->name, tally->worst.why);
	/* Where the kernel alone has answered, nobody knows what to change. */
	doctor_advise(doctor, "%s",
		      *tally->worst.advice ? tally->worst.advice :
					     "ask as root: that shows why, and what to change");
}

/* The kernel's answer in the place of what was computed, where it has one. */
static void ask(struct survey *survey, struct tally *tally, int fd, const struct importer *to,
		struct p2pdma_path *path)
{
	const struct p2pdma_context *context = survey->doctor->context;
	uint32_t map_type;
	int32_t distance;

	if (path_ask(context, fd, &to->address, &map_type, &distance))
		return;
	path_take_answer(context, map_type, distance, path);
	survey->nr_asked++;
	if (!(path->flags & P2PDMA_PATH_DISAGREES) || tally->nr_disagrees++)
		return;
	tally->odd = *path;
	tally->odd_to = to;
}

static void tell_disagreement(struct survey *survey, const char *subject, const struct tally *tally)
{
	struct doctor *doctor = survey->doctor;

	if (!tally->nr_disagrees)
		return;
	survey->nr_disagrees += tally->nr_disagrees;
	doctor_add(doctor, DOCTOR_PATH_DISAGREES, P2PDMA_SEVERITY_WARNING, subject,
		   "of %zu importers, such as %s: %s", tally->nr_disagrees, tally->odd_to->name,
		   tally->odd.why);
	doctor_advise(doctor, "%s", tally->odd.advice);
}

static void check_pair(struct survey *survey, const struct doctor_provider *provider, int fd,
		       const struct importer *to, struct tally *tally)
{
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	char pair[PAIR_SIZE];
	bool is_hidden;

	if (to->index == provider->index ||
	    p2pdma_topology_path(survey->doctor->topology, provider->index, to->index, &path))
		return;
	is_hidden = path.reason == P2PDMA_PATH_ACS_UNKNOWN;
	snprintf(pair, sizeof(pair), "%s to %s", provider->name, to->name);
	if (fd >= 0)
		ask(survey, tally, fd, to, &path);
	count(tally, &path, to);
	if (path.reason == P2PDMA_PATH_ACS || path.reason == P2PDMA_PATH_ACS_BLOCKED)
		note_ports(survey, &path, pair);
	else if (is_hidden && path.map_type != P2PDMA_MAP_BUS_ADDR && !survey->nr_hidden++)
		snprintf(survey->hidden_example, sizeof(survey->hidden_example), "%s", pair);
}

static void check_provider(struct survey *survey, const struct doctor_provider *provider)
{
	const struct p2pdma_context *context = survey->doctor->context;
	struct tally tally = {.nr_straight = 0};
	int fd = -1;

	if (provider->is_bound)
		fd = path_open_kernel(context, &provider->address);
	for (size_t i = 0; i < survey->nr_importers; i++)
		check_pair(survey, provider, fd, &survey->importers[i], &tally);
	if (fd >= 0)
		context->sys->close(fd);
	tell_provider(survey->doctor, provider->name, &tally);
	tell_disagreement(survey, provider->name, &tally);
}

static void tell_asked(const struct survey *survey)
{
	if (survey->nr_asked && !survey->nr_disagrees)
		doctor_add(survey->doctor, DOCTOR_PATH_DISAGREES, P2PDMA_SEVERITY_OK, "machine",
			   "no: the kernel was asked about %zu pairs, and says what was computed",
			   survey->nr_asked);
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
	if (survey->nr_hidden) {
		doctor_add(doctor, DOCTOR_ACS_PORT, P2PDMA_SEVERITY_UNKNOWN, "machine",
			   "whether ports redirect requests between peers is only shown to "
			   "CAP_SYS_ADMIN: %zu pairs depend on it, such as %s",
			   survey->nr_hidden, survey->hidden_example);
		doctor_advise(doctor, "ask as root, or with the providers bound to p2pdma_export, "
				      "whose kernel module answers");
	} else if (!survey->nr_ports) {
		doctor_add(
			doctor, DOCTOR_ACS_PORT, P2PDMA_SEVERITY_OK, "machine",
			"no port is seen to redirect requests between a provider and an importer");
	}
}

/* False: no memory, or none is there. */
static bool find_importers(struct survey *survey)
{
	const struct p2pdma_topology *topology = survey->doctor->topology;

	survey->importers = calloc(p2pdma_topology_count(topology) + 1, sizeof(*survey->importers));
	if (!survey->importers)
		doctor_fail(survey->doctor, -ENOMEM);
	for (size_t i = 0; survey->importers && i < p2pdma_topology_count(topology); i++) {
		struct importer *importer = &survey->importers[survey->nr_importers];
		struct p2pdma_node node = P2PDMA_NODE_INIT;

		p2pdma_topology_node(topology, i, &node);
		if (!(node.flags & P2PDMA_NODE_IMPORTER) ||
		    pci_address_parse(node.name, &importer->address))
			continue;
		importer->index = i;
		snprintf(importer->name, sizeof(importer->name), "%s",
			 *node.device ? node.device : node.name);
		survey->nr_importers++;
	}
	return survey->nr_importers;
}

void doctor_check_paths(struct doctor *doctor)
{
	struct survey survey = {.doctor = doctor};

	if (find_importers(&survey)) {
		for (size_t i = 0; i < doctor->nr_providers; i++)
			check_provider(&survey, &doctor->providers[i]);
		tell_asked(&survey);
		tell_ports(&survey);
	}
	free(survey.importers);
	free(survey.ports);
}
