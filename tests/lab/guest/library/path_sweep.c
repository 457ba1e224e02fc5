/* SPDX-License-Identifier: MIT */
/*
 * path_sweep DEVICE PLACE=FUNCTION... to PLACE=FUNCTION...: every exporter with every importer.
 *
 * For each pair the library's forecast is compared with the kernel's PATH ioctl, asked here and not
 * through the library, and with what it forecasts for the registration of a memory region on behalf
 * of the importer. First as the machine was booted, then with each function's ACS control turned round,
 * one after the other, by a topology, where only pairs whose map type it changes are registered again; without privilege,
 * too, where only what is unknown may be unknown. Each is one case; a pair that differs is a
 * line. Pairs as booted are printed:
 *
 *	PAIR FROM TO MAP-TYPE DISTANCE
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/exporter.h"
#include "common/labtest.h"
#include "common/pair.h"

#define MAX_PLACES    16
#define SLICE_LENGTH  0x1000
#define NOBODY	      65534
#define ACS_REDIRECTS 0x002c /* requests, completions, egress control */
#define FUNCTION      "/sys/module/rdma_rxe/parameters/dmabuf_device"

struct place {
	const char *name;
	char function[16];
	struct p2pdma_provider *provider;
	size_t index; /* in the topology */
	struct exporter exporter;
	struct slice slice;
};

static struct {
	struct p2pdma_context *context;
	struct pair pair;
	struct place from[MAX_PLACES], to[MAX_PLACES];
	unsigned int nr_from, nr_to;
	uint32_t booted[MAX_PLACES][MAX_PLACES]; /* map types */
	unsigned int nr_changed;
} lab;

static int registers(const struct place *from, const struct place *to)
{
	struct mr_request request = {from->slice.fd, 0, SLICE_LENGTH, 0, MR_ALL_ACCESS};
	struct dmabuf_mr mr;
	int err;

	must(write_file(FUNCTION, to->function), FUNCTION);
	err = dmabuf_mr_register(&lab.pair, MR_IOCTL, &request, &mr);
	if (!err)
		must(dmabuf_mr_deregister(&lab.pair, &mr), "deregistering");
	return err;
}

/* As booted one by one, with the library asking the kernel, too; later all at once. */
static bool forecast(const struct p2pdma_topology *topology, const struct place *from,
		     const struct place *to, struct p2pdma_path *path)
{
	if (topology) {
		must(p2pdma_topology_path(topology, from->index, to->index, path), "the topology");
		return true;
	}
	must(p2pdma_path_query(lab.context, from->provider, to->function, path), "the library");
	return path->flags & P2PDMA_PATH_ASKED && !(path->flags & P2PDMA_PATH_DISAGREES);
}

/* One pair; false, and a line, when the forecast was wrong. */
static bool agrees(unsigned int i, unsigned int k, const struct p2pdma_topology *topology)
{
	struct place *from = &lab.from[i], *to = &lab.to[k];
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	uint32_t map_type = P2PDMA_MAP_UNKNOWN;
	int32_t distance = 0;
	bool is_booted = !topology, is_right;
	int err, wanted;

	is_right = forecast(topology, from, to, &path);
	must(exporter_path(&from->exporter, to->function, &map_type, &distance), "PATH");
	wanted = err = path.computed_map_type == P2PDMA_MAP_NOT_SUPPORTED ? -EINVAL : 0;
	if (is_booted)
		lab.booted[i][k] = map_type;
	if (is_booted || map_type != lab.booted[i][k])
		err = registers(from, to);
	lab.nr_changed += map_type != lab.booted[i][k];
	if (is_booted)
		printf("PAIR %s %s %s %d\n", from->name, to->name, map_type_name(map_type),
		       distance);
	if (is_right && path.computed_map_type == map_type && path.map_type == map_type &&
	    path.computed_distance == distance && err == wanted)
		return true;
	printf("# from %s %s to %s %s: computed %s %d, the kernel %s %d, registering %s: %s\n",
	       from->name, from->function, to->name, to->function,
	       p2pdma_map_type_name(path.computed_map_type), path.computed_distance,
	       map_type_name(map_type), distance, error_name(err), path.why);
	return false;
}

static void find(const struct p2pdma_topology *topology, struct place *places, unsigned int count)
{
	struct p2pdma_node node = P2PDMA_NODE_INIT;

	for (unsigned int i = 0; i < count; i++) {
		places[i].index = SIZE_MAX;
		for (size_t n = 0; n < p2pdma_topology_count(topology); n++) {
			must(p2pdma_topology_node(topology, n, &node), "a node");
			if (!strcmp(node.name, places[i].function))
				places[i].index = n;
		}
	}
}

static void sweep(const char *title, bool is_booted)
{
	struct p2pdma_topology *topology = NULL;
	unsigned int nr_wrong = 0;
	char name[128];

	if (!is_booted) {
		must(p2pdma_topology_query(lab.context, &topology), "the topology");
		find(topology, lab.from, lab.nr_from);
		find(topology, lab.to, lab.nr_to);
	}

	for (unsigned int i = 0; i < lab.nr_from; i++)
		for (unsigned int k = 0; k < lab.nr_to; k++)
			nr_wrong += !agrees(i, k, topology);
	snprintf(name, sizeof(name), "%s: all %u pairs agree", title, lab.nr_from * lab.nr_to);
	tap_ok(!nr_wrong, name, nr_wrong);
	p2pdma_topology_free(topology);
}

/* Without privilege the node isn't asked, and ACS isn't seen. */
static void sweep_unprivileged(void)
{
	unsigned int nr_wrong = 0, nr_unknown = 0;

	for (unsigned int i = 0; i < lab.nr_from; i++) {
		for (unsigned int k = 0; k < lab.nr_to; k++) {
			struct p2pdma_path path = P2PDMA_PATH_INIT, full = P2PDMA_PATH_INIT;
			const char *importer = lab.to[k].function;

			must(p2pdma_path_query(lab.context, lab.from[i].provider, importer, &full),
			     "the library");
			must(seteuid(NOBODY), "seteuid");
			must(p2pdma_path_query(lab.context, lab.from[i].provider, importer, &path),
			     "the library, as nobody");
			must(seteuid(0), "seteuid");
			nr_unknown += path.map_type == P2PDMA_MAP_UNKNOWN;
			if (!(path.flags & P2PDMA_PATH_ASKED) &&
			    (path.map_type == P2PDMA_MAP_UNKNOWN ||
			     (path.map_type == full.map_type && path.distance == full.distance)) &&
			    (!(path.flags & P2PDMA_PATH_POSSIBLE) ||
			     full.flags & P2PDMA_PATH_POSSIBLE))
				continue;
			printf("# as nobody %s to %s: %s %s\n", lab.from[i].name, lab.to[k].name,
			       p2pdma_map_type_name(path.map_type), path.why);
			nr_wrong++;
		}
	}
	tap_ok(!nr_wrong, "without privilege nothing wrong is said", nr_wrong);
	tap_ok(nr_unknown > 0, "without privilege something is unknown", nr_unknown);
	tap_ok(nr_unknown < lab.nr_from * lab.nr_to, "without privilege something is known",
	       nr_unknown);
}

/* The offset of the ACS control register, by a walk of its own; 0: none. */
static off_t acs_control_of(int fd)
{
	off_t at = 0x100;

	for (int i = 0; i < 480 && at >= 0x100; i++) {
		uint32_t header;

		if (pread(fd, &header, 4, at) != 4 || !header)
			return 0;
		if ((header & 0xffff) == 0x000d)
			return at + 6;
		at = header >> 20;
	}
	return 0;
}

static void sweep_acs_of(const char *function)
{
	char path[80], title[64];
	uint16_t before, turned;
	off_t at;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s/config", function);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(-errno, "%s", path);
	at = acs_control_of(fd);
	if (at) {
		must(pread(fd, &before, 2, at) == 2 ? 0 : -EIO, path);
		turned = before & ACS_REDIRECTS ? before & (uint16_t)~ACS_REDIRECTS :
						  before | 0x000c;
		must(pwrite(fd, &turned, 2, at) == 2 ? 0 : -EIO, path);
		snprintf(title, sizeof(title), "ACS %s at %.15s",
			 turned & ACS_REDIRECTS ? "on" : "off", function);
		sweep(title, false);
		must(pwrite(fd, &before, 2, at) == 2 ? 0 : -EIO, path);
	}
	close(fd);
}

static void sweep_acs(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;

	if (!dir)
		die(-errno, "/sys/bus/pci/devices");
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sweep_acs_of(entry->d_name);
	closedir(dir);
	tap_ok(lab.nr_changed > 0, "ACS changes a map type somewhere", lab.nr_changed);
}

static void open_place(struct place *place)
{
	char name[32], spec[40];

	snprintf(name, sizeof(name), "%s/2", place->function);
	must(p2pdma_provider_find(lab.context, name, &place->provider), name);
	snprintf(spec, sizeof(spec), "export:%s/2", place->function);
	must(exporter_open(spec, &place->exporter), spec);
	must(exporter_slice(&place->exporter, 0, SLICE_LENGTH, 0, &place->slice), spec);
}

static void parse(int argc, char **argv)
{
	struct place *places = lab.from;
	unsigned int *count = &lab.nr_from;

	for (int i = 2; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!strcmp(argv[i], "to")) {
			places = lab.to;
			count = &lab.nr_to;
			continue;
		}
		if (!equals || *count == MAX_PLACES)
			die(-EINVAL, "%s", argv[i]);
		*equals = '\0';
		places[*count].name = argv[i];
		snprintf(places[*count].function, sizeof(places->function), "%.15s", equals + 1);
		(*count)++;
	}
}

int main(int argc, char **argv)
{
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;

	if (argc < 5) {
		fprintf(stderr,
			"usage: path_sweep DEVICE PLACE=FUNCTION... to PLACE=FUNCTION...\n");
		return 2;
	}
	options.flags = P2PDMA_CONTEXT_DIRECT;
	must(p2pdma_context_open(&options, &lab.context), "opening the library");
	must(pair_open(argv[1], &lab.pair), argv[1]);
	parse(argc, argv);
	for (unsigned int i = 0; i < lab.nr_from; i++)
		open_place(&lab.from[i]);
	sweep("as booted", true);
	sweep_unprivileged();
	sweep_acs();
	must(write_file(FUNCTION, ""), FUNCTION);
	for (unsigned int i = 0; i < lab.nr_from; i++) {
		close(lab.from[i].slice.fd);
		exporter_close(&lab.from[i].exporter);
		p2pdma_provider_unref(lab.from[i].provider);
	}
	must(pair_close(&lab.pair), "closing");
	p2pdma_context_close(lab.context);
	return tap_done();
}
