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
#include <string.h>

#include "common/message.h"
#include "parser.h"
#include "values.h"

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
	DAEMON("max-monitors", KIND_NUMBER, limits.most[ACCOUNT_MONITORS], 1, UINT64_MAX, true,
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
	OWN("admin-group", SECTION_DAEMON, KIND_OWN, parser_set_admin_group,
	    "a group, by name or a number below 4294967295"),
	DAEMON("usage-is-public", KIND_BOOL, is_usage_public, 0, 0, false, NULL, "yes or no"),
	OWN("metrics-file", SECTION_DAEMON, KIND_OWN, parser_set_metrics_file,
	    "an absolute path of at most 255 characters"),
	OWN("log-level", SECTION_DAEMON, KIND_OWN, parser_set_log_level,
	    "error, warning, info or debug"),

	OWN("user", SECTION_RULE, KIND_LIST, parser_add_user, NAMES),
	OWN("group", SECTION_RULE, KIND_LIST, parser_add_group, NAMES),
	OWN("cgroup", SECTION_RULE, KIND_LIST, parser_add_cgroup, "patterns of paths, from /"),
	OWN("unit", SECTION_RULE, KIND_LIST, parser_add_unit,
	    "patterns of units' names, without /"),
	OWN("slurm-job", SECTION_RULE, KIND_LIST, parser_add_job,
	    "numbers, ranges such as 100-199, or *"),
	OWN("provider", SECTION_RULE, KIND_LIST, parser_add_provider,
	    "selectors such as 0000:41:00.0/2, 10ee:*, class:0302, backend:vfio, published:NAME "
	    "or *"),
	OWN("publish", SECTION_RULE, KIND_LIST, parser_add_publish,
	    "patterns of names, of letters, digits, . _ -, * and ?"),
	OWN("mode", SECTION_RULE, KIND_LIST, parser_add_mode, "exclusive, shared or both"),
	OWN("access", SECTION_RULE, KIND_LIST, parser_add_access, "read, write or both"),
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
