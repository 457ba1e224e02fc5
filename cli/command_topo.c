// SPDX-License-Identifier: MIT
/*
 * `topo`: every provider with every importer, as a matrix, as JSON, or as a picture.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "topo.h"
#include "topo_groups.h"

static void print_legend(const bool *is_used)
{
	printf("\nA number is the distance as the kernel counts it.\n");
	for (size_t i = 0; i < TOPO_NR_CODES; i++)
		if (is_used[i])
			printf("  %-4s %s\n", topo_legend[i].letters, topo_legend[i].meaning);
}

/* Columns have one name each; some functions have more. */
static void print_names(const struct topo *topo)
{
	bool has_begun = false;

	for (size_t k = 0; k < topo->nr_importers; k++) {
		const struct p2pdma_node *node = &topo->nodes[topo->importers[k]];
		const char *others = strchr(node->devices, ' ');

		if (!others)
			continue;
		printf("%s  ", has_begun ? "" : "\nThe same function by other names:\n");
		has_begun = true;
		text_print(topo_importer_name(topo, k));
		printf(" (%s):", node->name);
		text_print(others);
		printf("\n");
	}
}

/* Lines as wide as they are: a terminal folds them, and what is copied from them stays whole. */
static void print_groups(const struct topo *topo, const struct topo_groups *groups)
{
	char pairs[512];

	if (groups->count)
		printf("\nWhat is in the way, and what to change:\n");
	for (size_t i = 0; i < groups->count; i++) {
		const struct topo_group *group = &groups->groups[i];

		topo_group_format(topo, group, pairs, sizeof(pairs));
		printf("  %-4s ", topo_legend[group->code].letters);
		text_print(pairs);
		printf(": %s\n", group->path.why);
		if (group->is_last)
			printf("       change: %s\n", group->path.advice);
	}
}

static void add_cell(struct table *table, const struct p2pdma_path *path)
{
	const struct topo_legend *legend = &topo_legend[topo_code(path)];
	char text[32];

	if (path->distance > 0)
		snprintf(text, sizeof(text), "%s %" PRId32, legend->letters, path->distance);
	else
		snprintf(text, sizeof(text), "%s", legend->letters);
	table_text(table, text);
	if (legend->shade)
		table_colour(table, legend->shade);
}

static void print_matrix(const struct cli *cli, const struct topo *topo)
{
	size_t nr_columns = topo->nr_importers + 3;
	struct column *columns = calloc(nr_columns, sizeof(*columns));
	bool is_used[TOPO_NR_CODES] = {false};
	struct topo_groups groups = {.groups = NULL};
	struct p2pdma_path path;
	struct table *table;

	if (!columns)
		errx(EXIT_FAILED, "out of memory");
	columns[0] = (struct column){"PROVIDER", "provider", false};
	for (size_t k = 0; k < topo->nr_importers; k++)
		columns[k + 1] = (struct column){topo_importer_name(topo, k), "path", false};
	columns[nr_columns - 2] = (struct column){"NODE", "numa_node", true};
	columns[nr_columns - 1] = (struct column){"DRIVER", "driver", false};
	table = table_new(cli, "topo", columns, nr_columns);
	for (size_t i = 0; i < topo->nr_providers; i++) {
		const struct p2pdma_node *node = &topo->nodes[topo->providers[i]];
		char name[40];

		table_row(table);
		topo_provider_name(topo, i, name, sizeof(name));
		table_text(table, name);
		for (size_t k = 0; k < topo->nr_importers; k++) {
			topo_path(topo, i, k, &path);
			is_used[topo_code(&path)] = true;
			topo_groups_add(&groups, topo, i, k, &path);
			add_cell(table, &path);
		}
		table_signed(table, node->numa_node);
		table_text(table, node->driver);
	}
	table_print(table);
	free(columns);
	print_legend(is_used);
	print_names(topo);
	topo_groups_finish(&groups, topo);
	print_groups(topo, &groups);
	topo_groups_free(&groups);
}

static struct table *node_table(const struct cli *cli, const struct topo *topo)
{
	static const struct column columns[] = {
		{"NAME", "name", false},
		{"KIND", "kind", false},
		{"PARENT", "parent", false},
		{"DEVICE", "device", false},
		{NULL, "devices", false},
		{"DRIVER", "driver", false},
		{"ID", "id", false},
		{"NODE", "numa_node", true},
		{"LINK", "link_generation", true},
		{"WIDTH", "link_width", true},
		{NULL, "max_link_generation", true},
		{NULL, "max_link_width", true},
		{NULL, "acs_control", true},
		{"ACS", "acs", false},
		{"IOMMU", "iommu", false},
		{"BAR", "bar_bytes", true},
	};
	struct table *table = table_new(cli, "nodes", columns, sizeof(columns) / sizeof(*columns));

	for (size_t i = 0; i < topo->nr_nodes; i++) {
		const struct p2pdma_node *node = &topo->nodes[i];
		char id[24];

		if (!topo->is_shown[i])
			continue;
		table_row(table);
		table_text(table, node->name);
		table_text(table, kind_name(node->kind));
		table_text(table, node->parent < 0 ? NULL : topo->nodes[node->parent].name);
		table_text(table, *node->device ? node->device : NULL);
		table_text(table, *node->devices ? node->devices : NULL);
		table_text(table, node->driver);
		snprintf(id, sizeof(id), "%04" PRIx32 ":%04" PRIx32, node->vendor_id,
			 node->device_id);
		table_text(table, id);
		table_signed(table, node->numa_node);
		table_number(table, node->link_generation);
		table_number(table, node->link_width);
		table_number(table, node->max_link_generation);
		table_number(table, node->max_link_width);
		table_number(table, node->acs_control);
		table_text(table, node->flags & P2PDMA_NODE_ACS_UNKNOWN ? "unknown" :
				  node->flags & P2PDMA_NODE_REDIRECTS	? "redirects" :
				  node->flags & P2PDMA_NODE_HAS_ACS	? "off" :
									  "none");
		table_text(table, iommu_name(node->iommu));
		table_bytes(table, node->bar_bytes);
	}
	return table;
}

static struct table *path_table(const struct cli *cli, const struct topo *topo)
{
	static const struct column columns[] = {
		{"PROVIDER", "provider", false},
		{"IMPORTER", "importer", false},
		{NULL, "function", false},
		{"MAP TYPE", "map_type", false},
		{"DISTANCE", "distance", true},
		{NULL, "possible", true},
		{NULL, "bytes_per_second", true},
		{NULL, "place", false},
		{"WHY", "why", false},
		{NULL, "advice", false},
	};
	struct table *table = table_new(cli, "paths", columns, sizeof(columns) / sizeof(*columns));
	struct p2pdma_path path;
	char name[40];

	for (size_t i = 0; i < topo->nr_providers; i++) {
		topo_provider_name(topo, i, name, sizeof(name));
		for (size_t k = 0; k < topo->nr_importers; k++) {
			topo_path(topo, i, k, &path);
			table_row(table);
			table_text(table, name);
			table_text(table, topo_importer_name(topo, k));
			table_text(table, path.importer);
			table_text(table, p2pdma_map_type_name(path.map_type));
			table_signed(table, path.distance);
			table_number(table, !!(path.flags & P2PDMA_PATH_POSSIBLE));
			table_number(table, path.bytes_per_second);
			table_text(table, *path.place ? path.place : NULL);
			table_text(table, path.why);
			table_text(table, *path.advice ? path.advice : NULL);
		}
	}
	return table;
}

void topo_print_json(const struct cli *cli, const struct topo *topo)
{
	tables_print("topo", node_table(cli, topo), path_table(cli, topo));
}

int command_topo(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"all", no_argument, NULL, 'a'},
		{"dot", no_argument, NULL, 'd'},
		{"svg", no_argument, NULL, 's'},
		{0},
	};
	bool is_all = false;
	struct topo topo;
	int option, form = 0, r;

	while ((option = cli_option(cli, argc, argv, "a", options)) != -1) {
		if (option == 'a')
			is_all = true;
		else if (option == '?' || form)
			return form ? cli_usage(cli, "--dot or --svg, not both") : EXIT_USAGE;
		else
			form = option;
	}
	if (optind != argc)
		return cli_usage(cli, "topo takes no arguments");
	if (form && cli->is_json)
		return cli_usage(cli, "--json, --dot or --svg, not two of them");
	r = topo_open(cli, is_all, &topo);
	if (r)
		return r;
	if (form == 'd')
		topo_print_dot(&topo);
	else if (form == 's')
		topo_print_svg(&topo);
	else if (cli->is_json)
		topo_print_json(cli, &topo);
	else if (topo.nr_providers && topo.nr_importers)
		print_matrix(cli, &topo);
	if (!cli->is_json && !(topo.nr_providers && topo.nr_importers))
		fprintf(stderr, "p2pctl: there is no %s here; --all takes every function\n",
			topo.nr_providers ? "importer (RDMA, DRM, VFIO)" :
					    "provider (a BAR of 1 MiB or more)");
	topo_close(&topo);
	return EXIT_OK;
}
