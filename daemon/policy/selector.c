// SPDX-License-Identifier: MIT
/*
 * Selectors: which providers somebody means.
 *
 * They come from peers, command lines and configuration files, so the parser
 * accepts exactly the forms of selector.h and nothing around them; it is
 * fuzzed. What a word before a colon means is fixed, and no form can be read as
 * another: a vendor is four hexadecimal digits, and no word is. Pure functions,
 * no state.
 */
#include <errno.h>
#include <string.h>

#include "selector.h"

static const struct {
	const char *name;
	uint32_t backend;
} backends[] = {
	{"export", WIRE_BACKEND_EXPORT},
	{"vfio", WIRE_BACKEND_VFIO},
	{"drm", WIRE_BACKEND_DRM},
	{"p2pmem", WIRE_BACKEND_P2PMEM},
	{"published", WIRE_BACKEND_PUBLISHED},
};

#define NR_BACKENDS (sizeof(backends) / sizeof(backends[0]))

const char *backend_name(uint32_t backend)
{
	for (size_t i = 0; i < NR_BACKENDS; i++)
		if (backends[i].backend == backend)
			return backends[i].name;
	return "unknown";
}

int backend_parse(const char *name, uint32_t *ret_backend)
{
	for (size_t i = 0; i < NR_BACKENDS; i++)
		if (!strcmp(backends[i].name, name)) {
			*ret_backend = backends[i].backend;
			return 0;
		}
	return -EINVAL;
}

/* @text must be @digits hexadecimal digits and then @end. */
static bool is_hex(const char *text, size_t digits, char end, uint32_t *ret_value)
{
	uint32_t value = 0;

	for (size_t i = 0; i < digits; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	if (text[digits] != end)
		return false;
	*ret_value = value;
	return true;
}

static int parse_id(const char *text, struct selector *selector)
{
	if (!is_hex(text, 4, ':', &selector->vendor_id))
		return -EINVAL;
	selector->kind = SELECTOR_ID;
	if (!strcmp(text + 5, "*")) {
		selector->is_any_device = true;
		return 0;
	}
	return is_hex(text + 5, 4, '\0', &selector->device_id) ? 0 : -EINVAL;
}

static int parse_class(const char *text, struct selector *selector)
{
	size_t digits = strlen(text);
	uint32_t value;

	if ((digits != 2 && digits != 4 && digits != 6) || !is_hex(text, digits, '\0', &value))
		return -EINVAL;
	selector->kind = SELECTOR_CLASS;
	selector->pci_class = value << (24 - 4 * digits);
	selector->class_mask = 0xffffffU << (24 - 4 * digits) & 0xffffffU;
	return 0;
}

static bool is_name_character(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '.' || c == '_' || c == '-';
}

static int parse_published(const char *text, struct selector *selector)
{
	size_t length = strlen(text);

	if (length && text[length - 1] == '*') {
		selector->is_prefix = true;
		length--;
	}
	if ((!length && !selector->is_prefix) || length >= sizeof(selector->published))
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		if (!is_name_character(text[i]))
			return -EINVAL;
	selector->kind = SELECTOR_PUBLISHED;
	memcpy(selector->published, text, length);
	return 0;
}

static const char *after(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) ? NULL : text + length;
}

static int parse_backend(const char *text, struct selector *selector)
{
	selector->kind = SELECTOR_BACKEND;
	return backend_parse(text, &selector->backend);
}

static int parse_any(const char *text, struct selector *selector)
{
	const char *rest;

	if (!strcmp(text, "*"))
		return 0;
	if ((rest = after(text, "class:")))
		return parse_class(rest, selector);
	if ((rest = after(text, "backend:")))
		return parse_backend(rest, selector);
	if ((rest = after(text, "published:")))
		return parse_published(rest, selector);
	if (!pci_address_parse(text, &selector->name.address)) {
		selector->kind = SELECTOR_FUNCTION;
		return 0;
	}
	if (!pci_provider_name_parse(text, &selector->name)) {
		selector->kind = SELECTOR_BAR;
		return 0;
	}
	return parse_id(text, selector);
}

int selector_parse(const char *text, struct selector *ret_selector)
{
	struct selector selector = {.kind = SELECTOR_ALL};
	int r = parse_any(text, &selector);

	if (r)
		return r;
	*ret_selector = selector;
	return 0;
}

static bool is_same_bar(const struct selector *selector, const struct identity *identity)
{
	return !pci_address_compare(&selector->name.address, &identity->address) &&
	       selector->name.bar == identity->bar;
}

static bool matches_function(const struct selector *selector, const struct identity *identity)
{
	switch (selector->kind) {
	case SELECTOR_FUNCTION:
		return !pci_address_compare(&selector->name.address, &identity->address);
	case SELECTOR_BAR:
		return is_same_bar(selector, identity) &&
		       (!selector->name.has_generation ||
			selector->name.generation == identity->generation);
	case SELECTOR_ID:
		return selector->vendor_id == identity->vendor_id &&
		       (selector->is_any_device || selector->device_id == identity->device_id);
	case SELECTOR_CLASS:
		return (identity->pci_class & selector->class_mask) == selector->pci_class;
	default:
		return false;
	}
}

static bool matches_published(const struct selector *selector, const struct identity *identity)
{
	size_t length = strlen(selector->published);

	if (selector->is_prefix)
		return !strncmp(selector->published, identity->name, length);
	return !strcmp(selector->published, identity->name);
}

bool selector_matches(const struct selector *selector, const struct identity *identity)
{
	if (selector->kind == SELECTOR_ALL)
		return true;
	if (selector->kind == SELECTOR_BACKEND)
		return selector->backend == identity->backend;
	/* What was published has a name and no address, and the other way round. */
	if (identity->is_published)
		return selector->kind == SELECTOR_PUBLISHED &&
		       matches_published(selector, identity);
	return matches_function(selector, identity);
}

bool selector_is_stale(const struct selector *selector, const struct identity *identity)
{
	return selector->kind == SELECTOR_BAR && selector->name.has_generation &&
	       !identity->is_published && is_same_bar(selector, identity) &&
	       selector->name.generation != identity->generation;
}
