// SPDX-License-Identifier: MIT
/*
 * How ports are kept from redirecting: the parameter of the kernel, to the letter.
 *
 * People paste it, so it must be whole. Of several pci=disable_acs_redir= the kernel takes the last alone
 * (pci_setup() of drivers/pci/pci.c), so one that names the ports of a remedy would undo what the command line
 * has already: the remedy is both. config_acs= is applied after it and wins where it names the same
 * function. An entry that the kernel can't parse hides those behind it, so new ones come first.
 *
 * The command line is split as the kernel does it: at blanks outside of double quotes, up to "--",
 * and the value of "pci" at commas; the ports in it are separated by semicolons. No state, no locks.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "path.h"
#include "sysfs.h"

/* What fits into an advice beside the rest of it. */
#define MAX_LIST  560
/* A path of functions down to one. */
#define MAX_ENTRY 192

static const char list_option[] = "disable_acs_redir=";
static const char config_option[] = "config_acs=";

/* @value: of a "pci" on the command line. */
static void take_options(const char *value, size_t length, struct path_boot *boot)
{
	while (length) {
		const char *comma = memchr(value, ',', length);
		size_t n = comma ? (size_t)(comma - value) : length;

		if (n >= strlen(list_option) && !strncmp(value, list_option, strlen(list_option)))
			snprintf(boot->list, sizeof(boot->list), "%.*s",
				 (int)(n - strlen(list_option)), value + strlen(list_option));
		else if (n >= strlen(config_option) &&
			 !strncmp(value, config_option, strlen(config_option)))
			boot->has_config = n > strlen(config_option);
		n += comma != NULL;
		value += n;
		length -= n;
	}
}

/* Where the parameter ends that begins there. */
static const char *end_of_parameter(const char *text)
{
	bool is_quoted = false;

	for (; *text && (is_quoted || !isspace((unsigned char)*text)); text++)
		if (*text == '"')
			is_quoted = !is_quoted;
	return text;
}

void path_boot_parse(const char *command_line, struct path_boot *ret_boot)
{
	const char *text = command_line, *end;

	memset(ret_boot, 0, sizeof(*ret_boot));
	ret_boot->is_known = true;
	for (; *text; text = end) {
		while (isspace((unsigned char)*text))
			text++;
		end = end_of_parameter(text);
		/* What follows is init's. */
		if (end - text == 2 && !strncmp(text, "--", 2))
			break;
		/* Quotes are around all of it, or around its value. */
		if (*text == '"')
			text++;
		if (strncmp(text, "pci=", 4) != 0)
			continue;
		text += 4;
		if (*text == '"')
			text++;
		take_options(text, (size_t)(end - text) - (end > text && end[-1] == '"'), ret_boot);
	}
}

void path_boot_query(const char *root, struct path_boot *ret_boot)
{
	cleanup_fd int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[PATH_BOOT_SIZE];
	size_t length;

	memset(ret_boot, 0, sizeof(*ret_boot));
	if (fd < 0 || sysfs_read(fd, "proc/cmdline", text, sizeof(text), &length))
		return;
	path_boot_parse(text, ret_boot);
}

/* Entries of a list, one after the other; false: there is none any more. */
static bool next_entry(const char **list, char *ret_entry, size_t size)
{
	size_t length = strcspn(*list, ";");

	if (!**list)
		return false;
	snprintf(ret_entry, size, "%.*s", (int)length, *list);
	*list += length + ((*list)[length] != '\0');
	return true;
}

/* Is it the function? Its domain may be missing; other ways of naming it are nobody's business. */
static bool is_same(const char *entry, const char *port)
{
	struct pci_address one, other;
	char full[PCI_ADDRESS_SIZE];

	snprintf(full, sizeof(full), "0000:%.8s", entry);
	return !pci_address_parse(port, &other) &&
	       (!pci_address_parse(entry, &one) || !pci_address_parse(full, &one)) &&
	       one.domain == other.domain && one.bus == other.bus && one.devfn == other.devfn;
}

static bool is_listed(const struct path_boot *boot, const char *port)
{
	const char *list = boot->list;
	char entry[MAX_ENTRY];

	while (next_entry(&list, entry, sizeof(entry)))
		if (is_same(entry, port))
			return true;
	return false;
}

/* It is printed, between quotes: nothing that the kernel couldn't parse anyway. */
static bool is_sane(const char *entry)
{
	for (const char *c = entry; *c; c++)
		if (!isxdigit((unsigned char)*c) && !strchr("pci:./", *c))
			return false;
	return *entry;
}

static bool append(char *list, size_t size, const char *entry)
{
	size_t length = strlen(list);

	if (length + strlen(entry) + 2 > size)
		return false;
	snprintf(list + length, size - length, "%s%s", length ? ";" : "", entry);
	return true;
}

/* The ports, then what the command line has besides them. False: they don't fit. */
static bool make_list(const struct path_boot *boot, const char *const *ports, size_t nr_ports,
		      char *ret_list, size_t size)
{
	const char *rest = boot->list;
	bool has_room = true;
	char entry[MAX_ENTRY];

	ret_list[0] = '\0';
	for (size_t i = 0; i < nr_ports && has_room; i++)
		has_room = append(ret_list, size, ports[i]);
	while (has_room && next_entry(&rest, entry, sizeof(entry))) {
		bool is_new = is_sane(entry);

		for (size_t i = 0; i < nr_ports && is_new; i++)
			is_new = !is_same(entry, ports[i]);
		if (is_new)
			has_room = append(ret_list, size, entry);
	}
	return has_room;
}

static void advise_again(const struct path_boot *boot, char *ret_text, size_t size)
{
	if (boot->has_config)
		snprintf(ret_text, size,
			 "take these ports out of config_acs= on the kernel's command line, which "
			 "is "
			 "applied after the pci=disable_acs_redir= that has them already");
	else
		snprintf(
			ret_text, size,
			"find out why pci=disable_acs_redir= on the kernel's command line, which "
			"has these ports already, didn't help: the kernel's log says \"Can't parse "
			"ACS command line parameter\", or something sets ACS after boot (setpci); "
			"or switch ACS off in the firmware's PCIe settings");
}

void path_advise_acs(const struct path_boot *boot, const char *const *ports, size_t nr_ports,
		     char *ret_text, size_t size)
{
	char list[MAX_LIST] = "", parameter[MAX_LIST + 96];
	size_t nr_listed = 0;

	for (size_t i = 0; i < nr_ports; i++)
		nr_listed += is_listed(boot, ports[i]);
	if (nr_ports && nr_listed == nr_ports) {
		advise_again(boot, ret_text, size);
		return;
	}
	if (make_list(boot, ports, nr_ports, list, sizeof(list)))
		snprintf(parameter, sizeof(parameter), "\"pci=%s%s\"%s", list_option, list,
			 strchr(list, ';') ? " (in GRUB's files between single quotes, as \";\" "
					     "ends a command there)" :
					     "");
	else
		snprintf(parameter, sizeof(parameter), "pci=%s and the redirecting hops",
			 list_option);
	snprintf(ret_text, size,
		 "boot with %s%s%s%s, or switch ACS off in the firmware's PCIe settings (\"ACS "
		 "Control\" or \"ACS Enable\"); devices below these ports then reach each other "
		 "past the IOMMU",
		 parameter, *boot->list ? " in place of the one that is there" : "",
		 boot->has_config ? ", and take these ports out of config_acs=, which wins" : "",
		 boot->is_known ? "" : " and what it has already, as /proc/cmdline can't be read");
}
