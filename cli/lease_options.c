// SPDX-License-Identifier: MIT
/* Which slice is wanted, as options of `acquire` and `bench`. The library checks the rest. */
#include <stdio.h>
#include <string.h>

#include "lease_options.h"

void lease_options_init(struct lease_options *options)
{
	const struct p2pdma_lease_request empty = P2PDMA_LEASE_REQUEST_INIT;

	memset(options, 0, sizeof(*options));
	options->request = empty;
}

static bool take_bytes(const struct cli *cli, uint64_t *ret_bytes)
{
	if (!parse_bytes(optarg, ret_bytes))
		return true;
	cli_usage(cli, "%s is no size, such as 4096, 64M or 0x10000", optarg);
	return false;
}

/* OFFSET:LENGTH */
static bool take_range(const struct cli *cli, struct lease_options *options)
{
	struct p2pdma_range *range = &options->ranges[options->request.nr_ranges];
	const char *colon = strchr(optarg, ':');
	char offset[32];

	if (options->request.nr_ranges == P2PDMA_LEASE_MAX_RANGES) {
		cli_usage(cli, "a lease has at most %d ranges", P2PDMA_LEASE_MAX_RANGES);
		return false;
	}
	if (colon && (size_t)(colon - optarg) < sizeof(offset)) {
		memcpy(offset, optarg, (size_t)(colon - optarg));
		offset[colon - optarg] = '\0';
		if (!parse_bytes(offset, &range->offset_bytes) &&
		    !parse_bytes(colon + 1, &range->length_bytes)) {
			options->request.nr_ranges++;
			return true;
		}
	}
	cli_usage(cli, "%s is no range OFFSET:LENGTH, such as 1M:64K", optarg);
	return false;
}

bool lease_options_take(struct cli *cli, int option, struct lease_options *options)
{
	struct p2pdma_lease_request *request = &options->request;

	switch (option) {
	case 'l':
		return take_bytes(cli, &request->length_bytes);
	case OPTION_ALIGN:
		return take_bytes(cli, &request->align_bytes);
	case OPTION_RANGE:
		return take_range(cli, options);
	case OPTION_TTL:
		return cli_take_time(cli, &request->ttl_ms);
	case OPTION_IMPORTER:
		request->importer = optarg;
		return true;
	case OPTION_LABEL:
		request->label = optarg;
		return true;
	case OPTION_SHARED:
		request->mode = P2PDMA_LEASE_SHARED;
		return true;
	case OPTION_READ_ONLY:
		request->flags |= P2PDMA_BUFFER_READ_ONLY;
		return true;
	case OPTION_WC:
		request->flags |= P2PDMA_BUFFER_MMAP_WC;
		return true;
	case OPTION_UNREVOCABLE:
		request->flags |= P2PDMA_BUFFER_ALLOW_UNREVOCABLE;
		return true;
	default:
		return false;
	}
}

static bool is_published(const struct p2pdma_lease_request *request)
{
	return request->selector && !strncmp(request->selector, "published:", 10);
}

int lease_options_complete(struct cli *cli, struct lease_options *options)
{
	struct p2pdma_lease_request *request = &options->request;
	const struct p2pdma_broker_provider *provider;
	struct p2pdma_broker_list *list = NULL;
	int r;

	if (request->length_bytes || request->nr_ranges)
		return EXIT_OK;
	r = p2pdma_broker_list_providers(cli->context, request->selector, &list);
	if (r)
		return cli_failed(cli, r, "can't look for %s", request->selector);
	provider = p2pdma_broker_list_provider(list, 0);
	if (provider)
		request->length_bytes = provider->length_bytes;
	p2pdma_broker_list_free(list);
	if (provider)
		return EXIT_OK;
	fprintf(stderr, "p2pctl: nobody published %s\n  try: p2pctl list 'published:*'\n",
		request->selector + 10);
	return EXIT_NOT_FOUND;
}

int lease_options_check(struct cli *cli, struct lease_options *options)
{
	struct p2pdma_lease_request *request = &options->request;

	if (request->nr_ranges)
		request->ranges = options->ranges;
	if (request->nr_ranges && request->length_bytes)
		return cli_usage(cli, "--range or --length, not both");
	if (!request->nr_ranges && !request->length_bytes && !is_published(request))
		return cli_usage(cli, "how much? --length SIZE, or --range OFFSET:LENGTH");
	return EXIT_OK;
}
