// SPDX-License-Identifier: MIT
/*
 * Numbers as people write and read them, and names of what the library has numbers for. Pure
 * functions, apart from user names, which the system looks up.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

struct unit {
	const char *name;
	uint64_t factor;
};

int parse_number(const char *text, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	/* strtoull() would take white space and signs. */
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	if (errno || *end)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

static int parse_unit(const char *text, const struct unit *units, size_t nr_units,
		      uint64_t *ret_number)
{
	char number[32];
	size_t digits = strspn(text, "0123456789");
	uint64_t value;

	if (!digits || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (parse_number(number, &value))
		return -EINVAL;
	for (size_t i = 0; i < nr_units; i++) {
		if (strcasecmp(text + digits, units[i].name))
			continue;
		if (value > UINT64_MAX / units[i].factor)
			return -EINVAL;
		*ret_number = value * units[i].factor;
		return 0;
	}
	return -EINVAL;
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

int parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},	   {"b", 1},
		{"k", 1ULL << 10}, {"kib", 1ULL << 10},
		{"m", 1ULL << 20}, {"mib", 1ULL << 20},
		{"g", 1ULL << 30}, {"gib", 1ULL << 30},
		{"t", 1ULL << 40}, {"tib", 1ULL << 40},
	};

	if (text[0] == '0' && (text[1] | 0x20) == 'x')
		return parse_number(text, ret_bytes);
	return parse_unit(text, units, COUNT_OF(units), ret_bytes);
}

int parse_time(const char *text, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{"ms", 1},    {"", 1000},     {"s", 1000},    {"sec", 1000},
		{"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
	};

	return parse_unit(text, units, COUNT_OF(units), ret_ms);
}

int parse_user(const char *text, uint32_t *ret_uid)
{
	const struct passwd *user;
	uint64_t number;

	if (!parse_number(text, &number)) {
		if (number >= UINT32_MAX)
			return -EINVAL;
		*ret_uid = (uint32_t)number;
		return 0;
	}
	user = getpwnam(text);
	if (!user)
		return -EINVAL;
	*ret_uid = user->pw_uid;
	return 0;
}

/* One digit behind the point where it says something. */
static void format_fraction(uint64_t value, uint64_t factor, const char *unit, char *text,
			    size_t size)
{
	uint64_t whole = value / factor;
	uint64_t tenths = value % factor * 10 / factor;

	if (whole < 10 && tenths)
		snprintf(text, size, "%" PRIu64 ".%" PRIu64 " %s", whole, tenths, unit);
	else
		snprintf(text, size, "%" PRIu64 " %s", whole, unit);
}

static void format_unit(uint64_t value, const struct unit *units, size_t nr_units, char *text,
			size_t size)
{
	size_t i = nr_units - 1;

	while (i && value < units[i].factor)
		i--;
	format_fraction(value, units[i].factor, units[i].name, text, size);
}

void format_bytes(uint64_t bytes, char *text, size_t size)
{
	static const struct unit units[] = {
		{"B", 1},
		{"KiB", 1ULL << 10},
		{"MiB", 1ULL << 20},
		{"GiB", 1ULL << 30},
		{"TiB", 1ULL << 40},
		{"PiB", 1ULL << 50},
	};

	format_unit(bytes, units, COUNT_OF(units), text, size);
}

void format_time(uint64_t ns, char *text, size_t size)
{
	static const struct unit units[] = {
		{"ns", 1},
		{"us", 1000ULL},
		{"ms", 1000000ULL},
		{"s", 1000000000ULL},
		{"min", 60000000000ULL},
		{"h", 3600000000000ULL},
		{"d", 86400000000000ULL},
	};

	format_unit(ns, units, COUNT_OF(units), text, size);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static const char *name_at(const char *const *names, size_t count, uint32_t index)
{
	return index < count && names[index] ? names[index] : "unknown";
}

const char *state_name(uint32_t state)
{
	static const char *const names[] = {"pending", "active", "revoking", "revoked", "released"};

	return name_at(names, COUNT_OF(names), state);
}

const char *mode_name(uint32_t mode)
{
	static const char *const names[] = {NULL, "exclusive", "shared"};

	return name_at(names, COUNT_OF(names), mode);
}

const char *force_name(uint32_t force)
{
	static const char *const names[] = {"none", "function", "lease", "waits"};

	return name_at(names, COUNT_OF(names), force);
}

const char *backend_name(uint32_t backend)
{
	static const char *const names[] = {NULL,     "export", "vfio",	  "adopt",
					    "broker", "drm",	"p2pmem", "published"};

	return name_at(names, COUNT_OF(names), backend);
}

const char *monitor_name(uint32_t type)
{
	static const char *const names[] = {
		[P2PDMA_MONITOR_PROVIDER_ADDED] = "provider-added",
		[P2PDMA_MONITOR_PROVIDER_REMOVED] = "provider-removed",
		[P2PDMA_MONITOR_PROVIDER_CHANGED] = "provider-changed",
		[P2PDMA_MONITOR_LEASE_GRANTED] = "lease-granted",
		[P2PDMA_MONITOR_LEASE_REVOKING] = "lease-revoking",
		[P2PDMA_MONITOR_LEASE_ENDED] = "lease-ended",
		[P2PDMA_MONITOR_LEASE_DENIED] = "lease-denied",
		[P2PDMA_MONITOR_POLICY_LOADED] = "policy-loaded",
		[P2PDMA_MONITOR_LOST] = "lost",
		[P2PDMA_MONITOR_POLICY_REFUSED] = "policy-refused",
	};

	return name_at(names, COUNT_OF(names), type);
}
