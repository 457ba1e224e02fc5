// SPDX-License-Identifier: MIT
/*
 * Names of PCI functions and providers.
 *
 * A function is dddd:bb:dd.f in hexadecimal, with four to eight digits of
 * domain, as the kernel prints it. A provider adds /BAR, and /BAR@GENERATION
 * where one arrival of the function is meant; in the place of a BAR may be "vram"
 * or "p2pmem". Names come from command lines,
 * configuration files and peers, so the parser accepts exactly this and nothing
 * around it; it is fuzzed. Pure functions, no state.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pci.h"

static const struct {
	const char *word;
	uint32_t bar;
} memories[] = {
	{"p2pmem", PCI_MEMORY_P2PMEM},
	{"vram", PCI_MEMORY_VRAM},
};

#define NR_MEMORIES (sizeof(memories) / sizeof(memories[0]))

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads between @min and @max digits and moves *cursor behind them. */
static int take_hex(const char **cursor, int min, int max, uint32_t *ret_value)
{
	uint32_t value = 0;
	int n;

	for (n = 0; n < max; n++) {
		int digit = hex_digit(**cursor);

		if (digit < 0)
			break;
		value = value << 4 | (uint32_t)digit;
		(*cursor)++;
	}
	if (n < min)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static int take_char(const char **cursor, char c)
{
	if (**cursor != c)
		return -EINVAL;
	(*cursor)++;
	return 0;
}

static int take_decimal(const char **cursor, uint64_t *ret_value)
{
	uint64_t value = 0;
	int n;

	for (n = 0; **cursor >= '0' && **cursor <= '9'; n++) {
		uint64_t digit = (uint64_t)(**cursor - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		value = value * 10 + digit;
		(*cursor)++;
	}
	if (!n)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static int take_address(const char **cursor, struct pci_address *ret_address)
{
	uint32_t domain, bus, device, function;

	if (take_hex(cursor, 4, 8, &domain) || take_char(cursor, ':') ||
	    take_hex(cursor, 2, 2, &bus) || take_char(cursor, ':') ||
	    take_hex(cursor, 2, 2, &device) || take_char(cursor, '.') ||
	    take_hex(cursor, 1, 1, &function))
		return -EINVAL;
	if (device > 0x1f || function > 7)
		return -EINVAL;
	ret_address->domain = domain;
	ret_address->bus = (uint8_t)bus;
	ret_address->devfn = (uint8_t)(device << 3 | function);
	return 0;
}

int pci_address_parse(const char *text, struct pci_address *ret_address)
{
	struct pci_address address;

	if (take_address(&text, &address) || *text)
		return -EINVAL;
	*ret_address = address;
	return 0;
}

void pci_address_format(const struct pci_address *address, char text[PCI_ADDRESS_SIZE])
{
	snprintf(text, PCI_ADDRESS_SIZE, "%04" PRIx32 ":%02x:%02x.%x", address->domain,
		 address->bus, address->devfn >> 3, address->devfn & 7U);
}

int pci_address_compare(const struct pci_address *a, const struct pci_address *b)
{
	if (a->domain != b->domain)
		return a->domain < b->domain ? -1 : 1;
	if (a->bus != b->bus)
		return a->bus < b->bus ? -1 : 1;
	return (int)a->devfn - (int)b->devfn;
}

static int take_bar(const char **cursor, uint32_t *ret_bar)
{
	uint64_t bar;

	for (size_t i = 0; i < NR_MEMORIES; i++) {
		size_t length = strlen(memories[i].word);

		if (strncmp(*cursor, memories[i].word, length) != 0)
			continue;
		*cursor += length;
		*ret_bar = memories[i].bar;
		return 0;
	}
	if (take_decimal(cursor, &bar) || bar >= PCI_NR_BARS)
		return -EINVAL;
	*ret_bar = (uint32_t)bar;
	return 0;
}

int pci_provider_name_parse(const char *text, struct pci_provider_name *ret_name)
{
	struct pci_provider_name name = {.has_generation = false};

	if (take_address(&text, &name.address) || take_char(&text, '/') ||
	    take_bar(&text, &name.bar))
		return -EINVAL;
	if (*text == '@') {
		text++;
		if (take_decimal(&text, &name.generation))
			return -EINVAL;
		name.has_generation = true;
	}
	if (*text)
		return -EINVAL;
	*ret_name = name;
	return 0;
}

void pci_provider_name_format(const struct pci_provider_name *name,
			      char text[PCI_PROVIDER_NAME_SIZE])
{
	char address[PCI_ADDRESS_SIZE], bar[16];

	pci_address_format(&name->address, address);
	snprintf(bar, sizeof(bar), "%" PRIu32, name->bar);
	for (size_t i = 0; i < NR_MEMORIES; i++)
		if (memories[i].bar == name->bar)
			snprintf(bar, sizeof(bar), "%s", memories[i].word);
	if (name->has_generation)
		snprintf(text, PCI_PROVIDER_NAME_SIZE, "%s/%s@%" PRIu64, address, bar,
			 name->generation);
	else
		snprintf(text, PCI_PROVIDER_NAME_SIZE, "%s/%s", address, bar);
}
