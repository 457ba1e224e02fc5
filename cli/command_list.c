// SPDX-License-Identifier: MIT
/*
 * Providers: `list` and `show`.
 *
 * A provider that can't be exported from now is a line with its cause, never a reason to leave
 * out the others. `list --direct` looks at sysfs itself, where there is no p2pd, and asks the drivers of
 * GPUs how much memory these have, which few tell there. What nobody tells is unknown, not 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "table.h"
#include "tables.h"

static const struct column provider_columns[] = {
	{"PROVIDER", "name", false},
	{"BACKEND", "backend", false},
	{"SIZE", "size_bytes", true},
	{"FREE", "free_bytes", true},
	{"LARGEST", "largest_free_bytes", true},
	{"LEASES", "leases", true},
	{"FORCE", "force", false},
	{"ID", "id", false},
	{NULL, "pci_class", true},
	{"NODE", "numa_node", true},
	{"DRIVER", "driver", false},
	{NULL, "free_extents", true},
	{NULL, "publisher_uid", true},
	{"STATE", "state", false},
	{"CAUSE", "cause", false},
};

#define NR_PROVIDER_COLUMNS (sizeof(provider_columns) / sizeof(*provider_columns))

static void add_state(struct table *table, const struct p2pdma_broker_provider *provider)
{
	bool is_away = provider->flags & P2PDMA_PROVIDER_UNAVAILABLE;
	bool is_draining = provider->flags & P2PDMA_PROVIDER_DRAINING;

	table_text(table, is_away ? "unavailable" : is_draining ? "draining" : "ready");
	table_colour(table, is_away ? "red" : is_draining ? "yellow" : "green");
	table_text(table, provider->cause);
}

/* Of vram 0 is that nobody tells. */
static void add_size(struct table *table, uint64_t size_bytes, bool is_vram)
{
	if (size_bytes || !is_vram)
		table_bytes(table, size_bytes);
	else
		table_unknown(table);
}

static void add_provider(struct table *table, const struct p2pdma_broker_provider *provider)
{
	char id[24], class[16];

	table_row(table);
	table_text(table, provider->name);
	table_text(table, backend_name(provider->backend));
	add_size(table, provider->length_bytes, provider->backend == P2PDMA_BACKEND_DRM);
	table_bytes(table, provider->free_bytes);
	table_bytes(table, provider->largest_free_bytes);
	table_number(table, provider->nr_leases);
	table_text(table, force_name(provider->force));
	snprintf(id, sizeof(id), "%04" PRIx32 ":%04" PRIx32, provider->vendor_id,
		 provider->device_id);
	table_text(table, provider->vendor_id ? id : NULL);
	snprintf(class, sizeof(class), "%06" PRIx32, provider->pci_class);
	table_both(table, provider->pci_class, class);
	table_signed(table, provider->numa_node);
	table_text(table, provider->driver);
	table_number(table, provider->nr_free_extents);
	table_number(table, provider->publisher_uid);
	add_state(table, provider);
}

/* A list asks no driver; who looks for one by name has it asked, where its node may be opened. */
static void add_size_direct(const struct cli *cli, struct table *table,
			    const struct p2pdma_provider *listed)
{
	bool is_vram = p2pdma_provider_kind(listed) == P2PDMA_PROVIDER_KIND_VRAM;
	uint64_t size_bytes = p2pdma_provider_size_bytes(listed);
	struct p2pdma_provider *provider = NULL;

	if (is_vram && !size_bytes &&
	    !p2pdma_provider_find(cli->context, p2pdma_provider_unique_name(listed), &provider))
		size_bytes = p2pdma_provider_size_bytes(provider);
	p2pdma_provider_unref(provider);
	add_size(table, size_bytes, is_vram);
}

static int list_direct(struct cli *cli)
{
	static const struct column columns[] = {
		{"PROVIDER", "name", false}, {"SIZE", "size_bytes", true},
		{"ID", "id", false},	     {"NODE", "numa_node", true},
		{"DRIVER", "driver", false}, {"EXPORT", "can_export", false},
		{"CAUSE", "cause", false},
	};
	struct p2pdma_provider_list *list = NULL;
	struct table *table;
	int r;

	r = cli_open(cli, P2PDMA_CONTEXT_DIRECT);
	if (r)
		return r;
	r = p2pdma_provider_list_query(cli->context, &list);
	if (r)
		return cli_failed(cli, r, "can't look at the PCI functions");
	table = table_new(cli, "direct", columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < p2pdma_provider_list_count(list); i++) {
		const struct p2pdma_provider *provider = p2pdma_provider_list_at(list, i);
		const char *why = "";
		bool can = p2pdma_provider_can_export(provider, P2PDMA_BACKEND_AUTO, &why) == 1;
		char id[24];

		table_row(table);
		table_text(table, p2pdma_provider_unique_name(provider));
		add_size_direct(cli, table, provider);
		snprintf(id, sizeof(id), "%04" PRIx32 ":%04" PRIx32,
			 p2pdma_provider_vendor_id(provider), p2pdma_provider_device_id(provider));
		table_text(table, id);
		table_signed(table, p2pdma_provider_numa_node(provider));
		table_text(table, p2pdma_provider_driver(provider));
		table_text(table, can ? "yes" : "no");
		table_colour(table, can ? "green" : "yellow");
		table_text(table, why);
	}
	table_print(table);
	p2pdma_provider_list_free(list);
	return EXIT_OK;
}

int command_list(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"direct", no_argument, NULL, 'd'}, {0}};
	struct p2pdma_broker_list *list = NULL;
	const char *selector = NULL;
	bool is_direct = false;
	struct table *table;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "d", options)) != -1) {
		if (option != 'd')
			return EXIT_USAGE;
		is_direct = true;
	}
	if (optind < argc && !is_direct)
		selector = argv[optind++];
	if (optind != argc)
		return cli_usage(cli, "too many arguments");
	if (is_direct)
		return list_direct(cli);
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_broker_list_providers(cli->context, selector, &list);
	if (r)
		return cli_failed(cli, r, "can't list %s", selector ? selector : "the providers");
	table = table_new(cli, "providers", provider_columns, NR_PROVIDER_COLUMNS);
	for (size_t i = 0; i < p2pdma_broker_list_count(list); i++)
		add_provider(table, p2pdma_broker_list_provider(list, i));
	r = table_rows(table) || !selector ? EXIT_OK : EXIT_NOT_FOUND;
	table_print(table);
	if (r)
		fprintf(stderr, "p2pctl: nothing matches %s\n  try: `p2pctl list` without it\n",
			selector);
	p2pdma_broker_list_free(list);
	return r;
}

/* Both tables get the rows of one selector; an exit code. */
static int show_one(struct cli *cli, const char *selector, struct table *providers,
		    struct table *leases)
{
	struct p2pdma_broker_list *list = NULL;
	size_t count;
	int r;

	r = p2pdma_broker_list_providers(cli->context, selector, &list);
	if (r)
		return cli_failed(cli, r, "can't show %s", selector);
	count = p2pdma_broker_list_count(list);
	for (size_t i = 0; i < count; i++)
		add_provider(providers, p2pdma_broker_list_provider(list, i));
	p2pdma_broker_list_free(list);
	if (!count) {
		fprintf(stderr, "p2pctl: there is no provider %s\n  try: p2pctl list\n", selector);
		return EXIT_NOT_FOUND;
	}
	list = NULL;
	r = p2pdma_broker_list_leases(cli->context, selector, P2PDMA_BROKER_ANY_UID, &list);
	if (r)
		return cli_failed(cli, r, "can't list the leases of %s", selector);
	for (size_t i = 0; i < p2pdma_broker_list_count(list); i++)
		lease_table_add(leases, p2pdma_broker_list_lease(list, i));
	p2pdma_broker_list_free(list);
	return EXIT_OK;
}

int command_show(struct cli *cli, int argc, char **argv)
{
	unsigned int nr_done = 0, nr_failed = 0;
	struct table *providers, *leases;
	int r, failure = EXIT_OK;

	if (cli_option(cli, argc, argv, "", NULL) != -1)
		return EXIT_USAGE;
	if (optind == argc)
		return cli_usage(cli, "show needs a provider");
	r = cli_open(cli, 0);
	if (r)
		return r;
	providers = table_new(cli, "providers", provider_columns, NR_PROVIDER_COLUMNS);
	leases = lease_table_new(cli);
	for (int i = optind; i < argc; i++) {
		r = show_one(cli, argv[i], providers, leases);
		if (r)
			failure = r;
		nr_failed += r != EXIT_OK;
		nr_done += r == EXIT_OK;
	}
	tables_print("show", providers, leases);
	return cli_sum_up(nr_done, nr_failed, failure);
}
