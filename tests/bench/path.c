// SPDX-License-Identifier: MIT
/*
 * What an answer about paths costs, on the machine of a thousand functions that on-machine
 * makes of files and names in BENCH_SYSFS.
 *
 * path_query: one pair, of which nothing was known before. Its floor reads the first 64 bytes of the
 * configuration space of each function on the way, and nothing else. topo_1000: the whole tree and
 * every provider with every importer, as `p2pctl topo` does; its floor does the same with
 * every function of the machine. doctor_1000: everything that the doctor looks at, above the same
 * floor; the RDMA devices have no nodes, so that libibverbs is left out. Files in memory answer
 * faster than hardware does: compare ratios.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <p2pdma/doctor.h>

#include "bench.h"
#include "context/context.h"

#define PROVIDER "0001:03:00.0"
#define IMPORTER "0010:14:00.0"

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static int sysfs_fd;

static void must(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "%s: %s\n", what, p2pdma_context_error(context));
	exit(1);
}

static void read_header(const char *function)
{
	char path[80], header[64];
	int fd;

	snprintf(path, sizeof(path), "bus/pci/devices/%.20s/config", function);
	fd = openat(sysfs_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, header, sizeof(header), 0) != sizeof(header))
		exit(1);
	close(fd);
}

#if defined(BENCH_TOPO)
#define NAME  "topo_1000"
#define UNIT  "ms"
#define SCALE 1e6

static void measured(void)
{
	struct p2pdma_topology *topology = NULL;
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	struct p2pdma_node node = P2PDMA_NODE_INIT;
	size_t *importers, nr_importers = 0;

	must(p2pdma_topology_query(context, &topology), "topology");
	importers = calloc(p2pdma_topology_count(topology), sizeof(*importers));
	for (size_t i = 0; importers && i < p2pdma_topology_count(topology); i++) {
		must(p2pdma_topology_node(topology, i, &node), "node");
		if (node.flags & P2PDMA_NODE_IMPORTER)
			importers[nr_importers++] = i;
	}
	if (nr_importers != 16)
		exit(1);
	for (size_t i = 0; i < p2pdma_topology_count(topology); i++) {
		must(p2pdma_topology_node(topology, i, &node), "node");
		for (size_t k = 0; node.flags & P2PDMA_NODE_PROVIDER && k < nr_importers; k++)
			must(p2pdma_topology_path(topology, i, importers[k], &path), "path");
	}
	free(importers);
	p2pdma_topology_free(topology);
}

#elif defined(BENCH_DOCTOR)
#define NAME  "doctor_1000"
#define UNIT  "ms"
#define SCALE 1e6

static void measured(void)
{
	struct p2pdma_doctor *doctor = NULL;

	must(p2pdma_doctor_query(context, 0, &doctor), "doctor");
	/* Of each provider whose hands it is in, its BAR, its paths. */
	if (p2pdma_doctor_count(doctor) < 3 * 434)
		exit(1);
	p2pdma_doctor_free(doctor);
}
#else
#define NAME  "path_query"
#define UNIT  "us"
#define SCALE 1e3

static void measured(void)
{
	struct p2pdma_path path = P2PDMA_PATH_INIT;

	must(p2pdma_path_query(context, provider, IMPORTER, &path), "path");
	if (path.map_type != P2PDMA_MAP_THRU_HOST_BRIDGE || path.distance != 8)
		exit(1);
}

static void floor_of_it(void)
{
	static const char *const functions[] = {
		PROVIDER,	"0001:02:00.0", "0001:01:00.0", "0001:00:01.0", "0001:00:00.0",
		"0010:00:00.0", "0010:00:01.0", "0010:01:00.0", "0010:02:11.0", IMPORTER,
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		read_header(functions[i]);
}
#endif

#if defined(BENCH_TOPO) || defined(BENCH_DOCTOR)
static void floor_of_it(void)
{
	int fd = openat(sysfs_fd, "bus/pci/devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		exit(1);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			read_header(entry->d_name);
	closedir(dir);
}
#endif

static double time_of(void (*what)(void))
{
	uint64_t start = bench_now_ns();

	what();
	return (double)(bench_now_ns() - start) / SCALE;
}

int main(int argc, char **argv)
{
	struct bench_options options = {.rounds = 51};
	struct p2pdma_context_options direct = P2PDMA_CONTEXT_OPTIONS_INIT;
	struct figure figure = {.bench = NAME, .unit = UNIT};
	struct context_roots roots = {.sys = &sys_real, .dev = "/dev"};
	char cpuinfo[256];
	double *value, *floor;

	bench_parse(&options, argc, argv, 0);
	roots.sysfs = getenv("BENCH_SYSFS");
	if (!roots.sysfs) {
		fprintf(stderr, "run it by tests/bench/on-machine\n");
		return 2;
	}
	snprintf(cpuinfo, sizeof(cpuinfo), "%s/cpuinfo", roots.sysfs);
	roots.cpuinfo = cpuinfo;
	direct.flags = P2PDMA_CONTEXT_DIRECT | P2PDMA_CONTEXT_NO_HOTPLUG;
	must(context_open(&direct, &roots, &context), "context");
	must(p2pdma_provider_find(context, PROVIDER "/2", &provider), "provider");
	sysfs_fd = open(roots.sysfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	value = calloc(2 * options.rounds, sizeof(*value));
	if (!value)
		return 1;
	floor = value + options.rounds;
	for (size_t i = 0; i < options.rounds; i++) {
		value[i] = time_of(measured);
		floor[i] = time_of(floor_of_it);
	}
	figure.value = bench_median(value, options.rounds);
	figure.floor = bench_median(floor, options.rounds);
	bench_print(&options, &figure);
	free(value);
	close(sysfs_fd);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	return 0;
}
