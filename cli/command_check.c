// SPDX-License-Identifier: MIT
/*
 * `check`, one pair: yes or no, why, and what to change; `best`, all partners of one, ranked.
 *
 * The kernel is asked by both where it can be. A provider may be named by its function alone:
 * then its largest memory BAR is meant.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "topo.h"

/* "0000:41:00.0/2", or "0000:41:00.0" for its largest BAR; 0 or -errno. */
static int find_provider(const struct cli *cli, const char *name,
			 struct p2pdma_provider **ret_provider)
{
	struct p2pdma_provider *best = NULL, *one = NULL;
	char full[64];
	int r = -ENOENT;

	if (strchr(name, '/'))
		return p2pdma_provider_find(cli->context, name, ret_provider);
	for (unsigned int bar = 0; bar < 6; bar++) {
		snprintf(full, sizeof(full), "%.48s/%u", name, bar);
		r = p2pdma_provider_find(cli->context, full, &one);
		if (r && r != -ENOENT)
			break;
		if (r)
			continue;
		if (best && p2pdma_provider_size_bytes(best) >= p2pdma_provider_size_bytes(one)) {
			p2pdma_provider_unref(one);
			continue;
		}
		p2pdma_provider_unref(best);
		best = one;
	}
	if (!best)
		return r;
	*ret_provider = best;
	return 0;
}

static void format_rate(uint64_t bytes_per_second, char *text, size_t size)
{
	if (bytes_per_second)
		snprintf(text, size, "%.1f", (double)bytes_per_second / 1e9);
	else
		snprintf(text, size, "-");
}

static const char *answer(const struct p2pdma_path *path)
{
	if (path->map_type == P2PDMA_MAP_NOT_SUPPORTED)
		return "no";
	return path->flags & P2PDMA_PATH_POSSIBLE ? "yes" : "unknown";
}

static int code_of(const struct p2pdma_path *path)
{
	if (path->flags & P2PDMA_PATH_POSSIBLE)
		return EXIT_OK;
	return path->map_type == P2PDMA_MAP_NOT_SUPPORTED ? EXIT_NOT_POSSIBLE : EXIT_DENIED;
}

static void print_hops(const struct p2pdma_path *path)
{
	for (uint32_t i = 0; i < path->nr_hops; i++) {
		const struct p2pdma_path_hop *hop = &path->hops[i];
		char link[16];

		link_format(hop->link_generation, hop->link_width, link, sizeof(link));
		printf("%s %s  %s%s%s%s\n", i ? "        " : "  hops  ", hop->name,
		       kind_name(hop->kind), hop->link_generation ? ", PCIe " : "",
		       hop->link_generation ? link : "",
		       hop->flags & P2PDMA_NODE_REDIRECTS   ? ", ACS redirects" :
		       hop->flags & P2PDMA_NODE_ACS_UNKNOWN ? ", ACS unknown" :
							      "");
	}
	if (path->flags & P2PDMA_PATH_CUT)
		printf("         ...\n");
}

static const char *iommu_words(uint32_t iommu)
{
	switch (iommu) {
	case P2PDMA_IOMMU_NONE:
		return "none; the importer is given bus addresses";
	case P2PDMA_IOMMU_IDENTITY:
		return "passes the importer's addresses through";
	case P2PDMA_IOMMU_TRANSLATED:
		return "translates the importer's addresses";
	case P2PDMA_IOMMU_UNMANAGED:
		return "translates by what VFIO maps";
	case P2PDMA_IOMMU_BLOCKED:
		return "blocks the importer";
	default:
		return "unknown";
	}
}

static void print_path(const char *provider, const char *importer, const struct p2pdma_path *path)
{
	char rate[16], link[16];

	printf("%s to %s: %s, %s", provider, importer, answer(path),
	       p2pdma_map_type_name(path->map_type));
	if (path->distance >= 0)
		printf(", distance %" PRId32, path->distance);
	printf("\n  why    %s\n", path->why);
	if (*path->advice)
		printf("  change %s\n", path->advice);
	if (path->reason == P2PDMA_PATH_NOT_PCI)
		return;
	printf("  kernel %s\n", path->flags & P2PDMA_PATH_DISAGREES ? "DISAGREES: see above" :
				path->flags & P2PDMA_PATH_ASKED	    ? "asked, says the same" :
								      "not asked: p2pdma_export "
								      "isn't bound, or closed to "
								      "this user");
	printf("  iommu  %s\n", iommu_words(path->iommu));
	if (path->bytes_per_second) {
		format_rate(path->bytes_per_second, rate, sizeof(rate));
		link_format(path->link_generation, path->link_width, link, sizeof(link));
		printf("  bound  %s GB/s, PCIe %s at %s\n", rate, link, path->narrowest);
	}
	print_hops(path);
}

static const struct column path_columns[] = {
	{"PROVIDER", "provider", false},
	{"IMPORTER", "importer", false},
	{"FUNCTION", "function", false},
	{"WORKS", "works", false},
	{"MAP TYPE", "map_type", false},
	{"DISTANCE", "distance", true},
	{"GB/S", "bytes_per_second", true},
	{"WHY", "why", false},
	{NULL, "advice", false},
	{NULL, "iommu", false},
	{NULL, "asked", true},
	{NULL, "disagrees", true},
	{NULL, "narrowest", false},
	{NULL, "place", false},
};

static struct table *path_table(const struct cli *cli)
{
	return table_new(cli, "paths", path_columns, sizeof(path_columns) / sizeof(*path_columns));
}

static void add_path(struct table *table, const char *provider, const char *importer,
		     const struct p2pdma_path *path)
{
	const struct topo_legend *legend = &topo_legend[topo_code(path)];
	char rate[16];

	table_row(table);
	table_text(table, provider);
	table_text(table, importer);
	table_text(table, *path->importer ? path->importer : NULL);
	table_text(table, answer(path));
	if (legend->shade)
		table_colour(table, legend->shade);
	table_text(table, p2pdma_map_type_name(path->map_type));
	table_signed(table, path->distance);
	format_rate(path->bytes_per_second, rate, sizeof(rate));
	table_both(table, path->bytes_per_second, rate);
	table_text(table, path->why);
	table_text(table, *path->advice ? path->advice : NULL);
	table_text(table, iommu_name(path->iommu));
	table_number(table, !!(path->flags & P2PDMA_PATH_ASKED));
	table_number(table, !!(path->flags & P2PDMA_PATH_DISAGREES));
	table_text(table, *path->narrowest ? path->narrowest : NULL);
	table_text(table, *path->place ? path->place : NULL);
}

int command_check(struct cli *cli, int argc, char **argv)
{
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	struct p2pdma_provider *provider = NULL;
	struct table *table;
	int r;

	if (cli_option(cli, argc, argv, "", NULL) != -1)
		return EXIT_USAGE;
	if (argc - optind != 2)
		return cli_usage(cli, "check needs a provider and an importer");
	r = cli_open(cli, P2PDMA_CONTEXT_DIRECT);
	if (r)
		return r;
	r = find_provider(cli, argv[optind], &provider);
	if (r)
		return cli_failed(cli, r, "can't find the provider %s", argv[optind]);
	r = p2pdma_path_query(cli->context, provider, argv[optind + 1], &path);
	if (r) {
		r = cli_failed(cli, r, "can't check %s", argv[optind + 1]);
	} else if (cli->is_json) {
		table = path_table(cli);
		add_path(table, p2pdma_provider_name(provider), argv[optind + 1], &path);
		table_print(table);
		r = code_of(&path);
	} else {
		print_path(p2pdma_provider_name(provider), argv[optind + 1], &path);
		r = code_of(&path);
	}
	p2pdma_provider_unref(provider);
	return r;
}

struct candidate {
	char provider[40];
	char importer[64];
	bool is_near; /* on the same NUMA node */
	struct p2pdma_path path;
};

/* What works first, then the straight way, the shorter one, the wider one, the nearer one. */
static int compare(const void *a, const void *b)
{
	const struct candidate *one = a, *other = b;
	const struct p2pdma_path *path = &one->path, *against = &other->path;
	int one_code = code_of(path), other_code = code_of(against);

	if (one_code != other_code)
		return one_code == EXIT_OK     ? -1 :
		       other_code == EXIT_OK   ? 1 :
		       one_code == EXIT_DENIED ? -1 :
						 1;
	if (path->map_type != against->map_type)
		return path->map_type == P2PDMA_MAP_BUS_ADDR	? -1 :
		       against->map_type == P2PDMA_MAP_BUS_ADDR ? 1 :
		       path->map_type > against->map_type	? -1 :
								  1;
	if (path->distance != against->distance)
		return path->distance < against->distance ? -1 : 1;
	if (path->bytes_per_second != against->bytes_per_second)
		return path->bytes_per_second > against->bytes_per_second ? -1 : 1;
	if (one->is_near != other->is_near)
		return one->is_near ? -1 : 1;
	return strcmp(one->provider, other->provider) ? strcmp(one->provider, other->provider) :
							strcmp(one->importer, other->importer);
}

static int32_t numa_node_of(const struct topo *topo, const char *function)
{
	const struct p2pdma_node *node = topo_find(topo, function);

	return node ? node->numa_node : -1;
}

/* All that is ranked: one provider with every importer, or one importer with every provider. */
struct ranking {
	const struct cli *cli;
	const struct topo *topo;
	struct candidate *all;
	size_t count;
	int error; /* of the last pair that couldn't be asked for */
};

/* As the kernel says where it can be asked, else as computed. Who leaves meanwhile is left out. */
static void add_pair(struct ranking *ranking, const struct p2pdma_provider *provider,
		     const char *importer, const char *function)
{
	struct candidate *candidate = &ranking->all[ranking->count];
	struct p2pdma_path *path = &candidate->path;
	int r;

	path->size_bytes = sizeof(*path);
	r = p2pdma_path_query(ranking->cli->context, provider, function, path);
	if (r) {
		ranking->error = r;
		return;
	}
	if (!strcmp(path->provider, path->importer))
		return;
	snprintf(candidate->provider, sizeof(candidate->provider), "%s",
		 p2pdma_provider_name(provider));
	snprintf(candidate->importer, sizeof(candidate->importer), "%s", importer);
	candidate->is_near = numa_node_of(ranking->topo, path->provider) ==
			     numa_node_of(ranking->topo, path->importer);
	ranking->count++;
}

static void rank_importers(struct ranking *ranking, const char *name)
{
	const struct topo *topo = ranking->topo;
	struct p2pdma_provider *provider = NULL;

	ranking->error = find_provider(ranking->cli, name, &provider);
	if (ranking->error)
		return;
	for (size_t k = 0; k < topo->nr_importers; k++)
		add_pair(ranking, provider, topo_importer_name(topo, k),
			 topo->nodes[topo->importers[k]].name);
	p2pdma_provider_unref(provider);
}

static void rank_providers(struct ranking *ranking, const char *name)
{
	const struct topo *topo = ranking->topo;
	struct p2pdma_provider *provider;
	char provider_name[40];
	int r;

	for (size_t i = 0; i < topo->nr_providers; i++) {
		topo_provider_name(topo, i, provider_name, sizeof(provider_name));
		r = p2pdma_provider_find(ranking->cli->context, provider_name, &provider);
		if (r) {
			ranking->error = r;
			continue;
		}
		add_pair(ranking, provider, name, name);
		p2pdma_provider_unref(provider);
	}
}

/* A function alone is a provider unless it imports. */
static bool is_provider(const struct topo *topo, const char *name)
{
	const struct p2pdma_node *node = topo_find(topo, name);

	if (strchr(name, '/'))
		return true;
	return node && node->flags & P2PDMA_NODE_PROVIDER && !(node->flags & P2PDMA_NODE_IMPORTER);
}

/* The exit code. */
static int print_ranking(const struct ranking *ranking, const char *name)
{
	struct table *table;

	if (!ranking->count && ranking->error)
		return cli_failed(ranking->cli, ranking->error, "can't rank what pairs with %s",
				  name);
	qsort(ranking->all, ranking->count, sizeof(*ranking->all), compare);
	table = path_table(ranking->cli);
	for (size_t i = 0; i < ranking->count; i++)
		add_path(table, ranking->all[i].provider, ranking->all[i].importer,
			 &ranking->all[i].path);
	if (!ranking->count)
		fprintf(stderr,
			"p2pctl: nothing to pair %s with\n  try: p2pctl topo, or --all, which "
			"takes "
			"every function\n",
			name);
	table_print(table);
	return ranking->count ? code_of(&ranking->all[0].path) : EXIT_NOT_FOUND;
}

int command_best(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
	struct ranking ranking = {.cli = cli};
	bool is_all = false;
	struct topo topo;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "a", options)) != -1) {
		if (option != 'a')
			return EXIT_USAGE;
		is_all = true;
	}
	if (argc - optind != 1)
		return cli_usage(cli, "best needs a provider (0000:41:00.0/2) or an importer");
	r = topo_open(cli, is_all, &topo);
	if (r)
		return r;
	ranking.topo = &topo;
	ranking.all = calloc(topo.nr_providers + topo.nr_importers + 1, sizeof(*ranking.all));
	if (!ranking.all)
		errx(EXIT_FAILED, "out of memory");
	if (is_provider(&topo, argv[optind]))
		rank_importers(&ranking, argv[optind]);
	else
		rank_providers(&ranking, argv[optind]);
	r = print_ranking(&ranking, argv[optind]);
	free(ranking.all);
	topo_close(&topo);
	return r;
}
