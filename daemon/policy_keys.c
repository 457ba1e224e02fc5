// SPDX-License-Identifier: MIT
/*
 * The settings of a configuration file, one table.
 *
 * Most are a number of some kind at some place; the rest have a function. A setting
 * may stand once in a section, and a list may go on over several lines. What is
 * wrong is told and skipped, so that the next mistake is found, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/context.h>

#include "common/message.h"
#include "policy_parser.h"
#include "policy_values.h"

enum kind {
	KIND_NUMBER, /* uint64_t */
	KIND_NUMBER_32,
	KIND_BYTES,
	KIND_MS,
	KIND_BOOL,
	KIND_OWN,  /* a function for the value */
	KIND_LIST, /* a function for each element */
};

struct key {
	const char *name;
	enum section section;
	enum kind kind;
	size_t offset; /* in struct rule or struct policy_settings */
	uint64_t min, max;
	bool is_unlimited_allowed; /* "unlimited" is UINT64_MAX, or 0 with 32 bits */
	/* 0, -EINVAL, or another -errno that it has told. */
	int (*set)(struct parser *parser, const char *value);
	const char *wanted;
};

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

static int add_user(struct parser *parser, const char *value)
{
	return add_id(parser, value, parser->names->find_user, &parser->rule.users,
		      &parser->rule.nr_users);
}

static int add_group(struct parser *parser, const char *value)
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

static int add_cgroup(struct parser *parser, const char *value)
{
	if (*value != '/' && *value != '*')
		return -EINVAL;
	return add_text(parser, value, &parser->rule.cgroups, &parser->rule.nr_cgroups);
}

static int add_unit(struct parser *parser, const char *value)
{
	if (strchr(value, '/'))
		return -EINVAL;
	return add_text(parser, value, &parser->rule.units, &parser->rule.nr_units);
}

static int add_job(struct parser *parser, const char *value)
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

static int add_provider(struct parser *parser, const char *value)
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
static int add_publish(struct parser *parser, const char *value)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._-*?";

	if (value[strspn(value, characters)])
		return -EINVAL;
	return add_text(parser, value, &parser->rule.publish, &parser->rule.nr_publish);
}

static int add_mode(struct parser *parser, const char *value)
{
	if (!strcmp(value, "exclusive"))
		parser->rule.modes |= 1U << WIRE_MODE_EXCLUSIVE;
	else if (!strcmp(value, "shared"))
		parser->rule.modes |= 1U << WIRE_MODE_SHARED;
	else
		return -EINVAL;
	return 0;
}

static int add_access(struct parser *parser, const char *value)
{
	if (!strcmp(value, "read"))
		parser->rule.access |= WIRE_ACCESS_READ;
	else if (!strcmp(value, "write"))
		parser->rule.access |= WIRE_ACCESS_WRITE;
	else
		return -EINVAL;
	return 0;
}

static int set_admin_group(struct parser *parser, const char *value)
{
	return find_id(parser, value, parser->names->find_group,
		       &parser->policy->settings.admin_gid);
}

static int set_metrics_file(struct parser *parser, const char *value)
{
	char *path = parser->policy->settings.metrics_path;
	size_t size = sizeof(parser->policy->settings.metrics_path);

	if (*value != '/' || strlen(value) >= size)
		return -EINVAL;
	wire_text_set(path, size, value);
	return 0;
}

static int set_log_level(struct parser *parser, const char *value)
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

#define DAEMON(name, kind, field, ...)                                                             \
	{                                                                                          \
		name, SECTION_DAEMON, kind, offsetof(struct policy_settings, field), __VA_ARGS__   \
	}
#define RULE(name, kind, field, ...)                                                               \
	{                                                                                          \
		name, SECTION_RULE, kind, offsetof(struct rule, field), __VA_ARGS__                \
	}
#define OWN(name, section, kind, set, wanted)                                                      \
	{                                                                                          \
		name, section, kind, 0, 0, 0, false, set, wanted                                   \
	}

#define A_COUNT	   "a number above 0, or unlimited"
#define A_SIZE	   "a size such as 64M, or unlimited"
#define A_TIME	   "a time such as 500ms, 30s, 5min, 2h or 1d"
#define A_LONG_TTL "a time such as 30s, 5min, 2h or 1d, or unlimited"
#define NAMES	   "names or numbers below 4294967295, with commas"

/* Limits on times keep sums of them far from overflowing. */
#define YEAR_MS	   (366ULL * 86400000)

static const struct key keys[] = {
	DAEMON("max-connections", KIND_NUMBER, limits.most[ACCOUNT_CONNECTIONS], 1, UINT64_MAX,
	       true, NULL, A_COUNT),
	DAEMON("max-leases", KIND_NUMBER, limits.most[ACCOUNT_LEASES], 1, UINT64_MAX, true, NULL,
	       A_COUNT),
	DAEMON("max-bytes", KIND_BYTES, limits.most[ACCOUNT_BYTES], 1, UINT64_MAX, true, NULL,
	       A_SIZE),
	DAEMON("max-unread-bytes", KIND_BYTES, limits.most[ACCOUNT_UNREAD_BYTES], 8192, UINT64_MAX,
	       false, NULL, "a size of at least 8K"),
	DAEMON("max-unread-fds", KIND_NUMBER, limits.most[ACCOUNT_UNREAD_FDS], 1, 1000000, false,
	       NULL, "a number from 1 to 1000000"),
	DAEMON("max-published", KIND_NUMBER, limits.most[ACCOUNT_PUBLISHED], 1, UINT64_MAX, true,
	       NULL, A_COUNT),
	DAEMON("requests-per-second", KIND_NUMBER_32, limits.requests_per_s, 1, 1000000, true, NULL,
	       "a number from 1 to 1000000, or unlimited"),
	DAEMON("requests-burst", KIND_NUMBER_32, limits.requests_burst, 1, 1000000, false, NULL,
	       "a number from 1 to 1000000"),
	DAEMON("p2pmem-driver-bytes", KIND_BYTES, p2pmem_driver_bytes, 0, UINT64_MAX, false, NULL,
	       "a size such as 128K, or 0"),
	DAEMON("revoke-deadline", KIND_MS, revoke_deadline_ms, 0, YEAR_MS, false, NULL, A_TIME),
	DAEMON("reattach-time", KIND_MS, reattach_ms, 0, YEAR_MS, false, NULL, A_TIME),
	DAEMON("hello-time", KIND_MS, hello_ms, 1, YEAR_MS, false, NULL, A_TIME),
	DAEMON("stall-time", KIND_MS, stall_ms, 1, YEAR_MS, false, NULL, A_TIME),
	OWN("admin-group", SECTION_DAEMON, KIND_OWN, set_admin_group,
	    "a group, by name or a number below 4294967295"),
	DAEMON("usage-is-public", KIND_BOOL, is_usage_public, 0, 0, false, NULL, "yes or no"),
	OWN("metrics-file", SECTION_DAEMON, KIND_OWN, set_metrics_file,
	    "an absolute path of at most 255 characters"),
	OWN("log-level", SECTION_DAEMON, KIND_OWN, set_log_level, "error, warning, info or debug"),

	OWN("user", SECTION_RULE, KIND_LIST, add_user, NAMES),
	OWN("group", SECTION_RULE, KIND_LIST, add_group, NAMES),
	OWN("cgroup", SECTION_RULE, KIND_LIST, add_cgroup, "patterns of paths, from /"),
	OWN("unit", SECTION_RULE, KIND_LIST, add_unit, "patterns of units' names, without /"),
	OWN("slurm-job", SECTION_RULE, KIND_LIST, add_job, "numbers, ranges such as 100-199, or *"),
	OWN("provider", SECTION_RULE, KIND_LIST, add_provider,
	    "selectors such as 0000:41:00.0/2, 10ee:*, class:0302, backend:vfio, published:NAME "
	    "or *"),
	OWN("publish", SECTION_RULE, KIND_LIST, add_publish,
	    "patterns of names, of letters, digits, . _ -, * and ?"),
	OWN("mode", SECTION_RULE, KIND_LIST, add_mode, "exclusive, shared or both"),
	OWN("access", SECTION_RULE, KIND_LIST, add_access, "read, write or both"),
	RULE("allow", KIND_BOOL, is_allowed, 0, 0, false, NULL, "yes or no"),
	RULE("unrevocable", KIND_BOOL, is_unrevocable_allowed, 0, 0, false, NULL, "yes or no"),
	RULE("priority", KIND_NUMBER_32, priority, 0, 1000, false, NULL, "a number from 0 to 1000"),
	RULE("max-bytes", KIND_BYTES, max_bytes, 1, UINT64_MAX, true, NULL, A_SIZE),
	RULE("max-leases", KIND_NUMBER, max_leases, 1, UINT64_MAX, true, NULL, A_COUNT),
	RULE("max-lease-bytes", KIND_BYTES, max_lease_bytes, 1, UINT64_MAX, true, NULL, A_SIZE),
	RULE("max-ttl", KIND_MS, max_ttl_ms, 1, YEAR_MS, true, NULL, A_LONG_TTL),
	RULE("default-ttl", KIND_MS, default_ttl_ms, 1, YEAR_MS, true, NULL, A_LONG_TTL),
};

#define NR_KEYS (sizeof(keys) / sizeof(keys[0]))
_Static_assert(NR_KEYS <= 64, "struct parser's seen has a bit for each");

static const struct key *find_key(enum section section, const char *name)
{
	for (size_t i = 0; i < NR_KEYS; i++)
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static uint64_t bit_of(const struct key *key)
{
	return 1ULL << (key - keys);
}

static bool is_set(const struct parser *parser, const char *name)
{
	return (parser->seen & bit_of(find_key(SECTION_RULE, name))) != 0;
}

static int set_number(const struct key *key, const char *value, void *place)
{
	uint64_t number;
	int r;

	if (key->is_unlimited_allowed && !strcmp(value, "unlimited")) {
		number = key->kind == KIND_NUMBER_32 ? 0 : POLICY_NO_LIMIT;
	} else {
		r = key->kind == KIND_BYTES ? value_bytes(value, &number) :
		    key->kind == KIND_MS    ? value_ms(value, &number) :
					      value_number(value, &number);
		if (r || number < key->min || number > key->max)
			return -EINVAL;
	}
	if (key->kind == KIND_NUMBER_32)
		*(uint32_t *)place = (uint32_t)number;
	else
		*(uint64_t *)place = number;
	return 0;
}

/* Calls the key's function for each; a comma at the end promises that the list goes on. */
static int set_list(struct parser *parser, const struct key *key, const char *value)
{
	while (*value) {
		size_t length = strcspn(value, ",");
		char element[1024];
		int r;

		if (length >= sizeof(element))
			return -EINVAL;
		memcpy(element, value, length);
		value += length;
		value += *value == ',';
		value += strspn(value, " ");
		while (length && element[length - 1] == ' ')
			length--;
		element[length] = '\0';
		r = length ? key->set(parser, element) : -EINVAL;
		if (r)
			return r;
	}
	return 0;
}

static int set_value(struct parser *parser, const struct key *key, const char *value)
{
	char *base = key->section == SECTION_RULE ? (char *)&parser->rule :
						    (char *)&parser->policy->settings;

	if (!*value)
		return -EINVAL;
	switch (key->kind) {
	case KIND_BOOL:
		return value_bool(value, (bool *)(base + key->offset));
	case KIND_OWN:
		return key->set(parser, value);
	case KIND_LIST:
		return set_list(parser, key, value);
	default:
		return set_number(key, value, base + key->offset);
	}
}

static void tell_unknown(struct parser *parser, const char *name)
{
	bool is_rule = parser->section == SECTION_RULE;
	char shown[WIRE_NAME_SIZE];

	wire_text_set(shown, sizeof(shown), name);
	if (find_key(is_rule ? SECTION_DAEMON : SECTION_RULE, name))
		parser_fail(parser, "\"%s\" belongs into %s", shown,
			    is_rule ? "[daemon]" : "[rule NAME]");
	else
		parser_fail(parser, "unknown setting \"%s\"", shown);
}

void parser_set(struct parser *parser, const char *name, const char *value)
{
	const struct key *key = find_key(parser->section, name);
	char shown[WIRE_NAME_SIZE];

	if (parser->is_continuation) {
		if (parser->is_value_refused)
			return;
		if (!key || key->kind != KIND_LIST) {
			parser_fail(parser, "only a list goes on in an indented line");
			return;
		}
	} else {
		parser->is_value_refused = true;
		if (!key) {
			tell_unknown(parser, name);
			return;
		}
		if (parser->seen & bit_of(key)) {
			parser_fail(parser, "\"%s\" a second time", key->name);
			return;
		}
		parser->seen |= bit_of(key);
	}
	parser->is_value_refused = set_value(parser, key, value) == -EINVAL;
	if (parser->is_value_refused) {
		wire_text_set(shown, sizeof(shown), value);
		parser_fail(parser, "%s is %s, not \"%s\"", key->name, key->wanted, shown);
	}
}

void parser_check_rule(struct parser *parser)
{
	static const char *const limits[] = {"unrevocable", "priority",	       "max-bytes",
					     "max-leases",  "max-lease-bytes", "max-ttl",
					     "default-ttl"};
	static const char *const of_leases[] = {"provider", "mode", "access"};
	const struct rule *rule = &parser->rule;
	bool is_denied = !rule->is_allowed && is_set(parser, "allow");
	bool is_publish = is_set(parser, "publish");

	if (!is_set(parser, "allow"))
		parser_fail_at(parser, parser->section_line,
			       "rule %s doesn't say allow = yes or allow = no", rule->name);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if ((is_denied || is_publish) && is_set(parser, limits[i]))
			parser_fail_at(parser, parser->section_line,
				       "rule %s %s: %s has no meaning there", rule->name,
				       is_publish ? "is about publishing" : "denies", limits[i]);
	for (size_t i = 0; is_publish && i < sizeof(of_leases) / sizeof(of_leases[0]); i++)
		if (is_set(parser, of_leases[i]))
			parser_fail_at(parser, parser->section_line,
				       "rule %s is about publishing: %s has no meaning there",
				       rule->name, of_leases[i]);
	if (is_set(parser, "default-ttl") && is_set(parser, "max-ttl") &&
	    rule->default_ttl_ms > rule->max_ttl_ms)
		parser_fail_at(parser, parser->section_line,
			       "rule %s: default-ttl is longer than max-ttl", rule->name);
}
