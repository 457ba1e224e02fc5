// SPDX-License-Identifier: MIT
/*
 * Settings with values of their own: users and groups, patterns, ranges, selectors, words.
 *
 * One element of a list each, or the value as a whole. What is wrong with it only the caller can say, but
 * for a name that nobody has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/context.h>

#include "common/message.h"
#include "parser.h"
#include "values.h"

/* One element more. The array has room for the next power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? count * 2 : 1, size);
}

static int tell_no_memory(struct parser *parser)
{
	complain(parser->complaints, -ENOMEM, "%s:%u: no memory", parser->file, parser->line);
	return -ENOMEM;
}

static int find_id(struct parser *parser, const char *value,
		   int (*find)(const char *name, uint32_t *ret_id), uint32_t *ret_id)
{
	char shown[WIRE_NAME_SIZE];
	uint64_t number;
	int r = value_number(value, &number);

	/* The last one is no id, but "none" to the kernel. */
	if (r == -ERANGE || (!r && number >= UINT32_MAX))
		return -EINVAL;
	if (!r) {
		*ret_id = (uint32_t)number;
		return 0;
	}
	r = find(value, ret_id);
	if (!r)
		return 0;
	wire_text_set(shown, sizeof(shown), value);
	if (r == -ENOENT)
		parser_fail(parser, "there is no user or group \"%s\"", shown);
	else
		parser_fail(parser, "\"%s\" can't be looked up: %s", shown, strerror(-r));
	return -ENOENT;
}

static int add_id(struct parser *parser, const char *value,
		  int (*find)(const char *name, uint32_t *ret_id), uint32_t **ids, size_t *count)
{
	uint32_t id, *grown;
	int r = find_id(parser, value, find, &id);

	if (r)
		return r;
	grown = grow(*ids, *count, sizeof(*grown));
	if (!grown)
		return tell_no_memory(parser);
	*ids = grown;
	grown[(*count)++] = id;
	return 0;
}

int parser_add_user(struct parser *parser, const char *value)
{
	return add_id(parser, value, parser->names->find_user, &parser->rule.users,
		      &parser->rule.nr_users);
}

int parser_add_group(struct parser *parser, const char *value)
{
	return add_id(parser, value, parser->names->find_group, &parser->rule.groups,
		      &parser->rule.nr_groups);
}

static int add_text(struct parser *parser, const char *value, char ***texts, size_t *count)
{
	char **grown = grow(*texts, *count, sizeof(*grown));

	if (!grown)
		return tell_no_memory(parser);
	*texts = grown;
	grown[*count] = strdup(value);
	if (!grown[*count])
		return tell_no_memory(parser);
	(*count)++;
	return 0;
}

int parser_add_cgroup(struct parser *parser, const char *value)
{
	if (*value != '/' && *value != '*')
		return -EINVAL;
	return add_text(parser, value, &parser->rule.cgroups, &parser->rule.nr_cgroups);
}

int parser_add_unit(struct parser *parser, const char *value)
{
	if (strchr(value, '/'))
		return -EINVAL;
	return add_text(parser, value, &parser->rule.units, &parser->rule.nr_units);
}

int parser_add_job(struct parser *parser, const char *value)
{
	struct job_range range = {0, UINT64_MAX}, *grown;
	char first[32] = "";
	const char *dash = strchr(value, '-');

	if (dash && (size_t)(dash - value) < sizeof(first)) {
		memcpy(first, value, (size_t)(dash - value));
		if (value_number(first, &range.first) || value_number(dash + 1, &range.last) ||
		    range.first > range.last)
			return -EINVAL;
	} else if (strcmp(value, "*") != 0) {
		if (value_number(value, &range.first))
			return -EINVAL;
		range.last = range.first;
	}
	grown = grow(parser->rule.jobs, parser->rule.nr_jobs, sizeof(*grown));
	if (!grown)
		return tell_no_memory(parser);
	parser->rule.jobs = grown;
	grown[parser->rule.nr_jobs++] = range;
	return 0;
}

int parser_add_provider(struct parser *parser, const char *value)
{
	struct selector selector, *grown;

	if (selector_parse(value, &selector))
		return -EINVAL;
	grown = grow(parser->rule.providers, parser->rule.nr_providers, sizeof(*grown));
	if (!grown)
		return tell_no_memory(parser);
	parser->rule.providers = grown;
	grown[parser->rule.nr_providers++] = selector;
	return 0;
}

/* Of the characters that names have, and the pattern's. */
int parser_add_publish(struct parser *parser, const char *value)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._-*?";

	if (value[strspn(value, characters)])
		return -EINVAL;
	return add_text(parser, value, &parser->rule.publish, &parser->rule.nr_publish);
}

int parser_add_mode(struct parser *parser, const char *value)
{
	if (!strcmp(value, "exclusive"))
		parser->rule.modes |= 1U << WIRE_MODE_EXCLUSIVE;
	else if (!strcmp(value, "shared"))
		parser->rule.modes |= 1U << WIRE_MODE_SHARED;
	else
		return -EINVAL;
	return 0;
}

int parser_add_access(struct parser *parser, const char *value)
{
	if (!strcmp(value, "read"))
		parser->rule.access |= WIRE_ACCESS_READ;
	else if (!strcmp(value, "write"))
		parser->rule.access |= WIRE_ACCESS_WRITE;
	else
		return -EINVAL;
	return 0;
}

int parser_set_admin_group(struct parser *parser, const char *value)
{
	return find_id(parser, value, parser->names->find_group,
		       &parser->policy->settings.admin_gid);
}

int parser_set_metrics_file(struct parser *parser, const char *value)
{
	char *path = parser->policy->settings.metrics_path;
	size_t size = sizeof(parser->policy->settings.metrics_path);

	if (*value != '/' || strlen(value) >= size)
		return -EINVAL;
	wire_text_set(path, size, value);
	return 0;
}

int parser_set_log_level(struct parser *parser, const char *value)
{
	static const char *const names[] = {
		[P2PDMA_LOG_ERROR] = "error",
		[P2PDMA_LOG_WARNING] = "warning",
		[P2PDMA_LOG_INFO] = "info",
		[P2PDMA_LOG_DEBUG] = "debug",
	};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], value)) {
			parser->policy->settings.log_level = i;
			return 0;
		}
	return -EINVAL;
}
