// SPDX-License-Identifier: MIT
/*
 * What a path means in words: why it is as it is, and what to change.
 *
 * The parameter of the kernel's command line is in path_acs.c. Pure functions.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "path.h"

struct text {
	char *to;
	size_t size;
	size_t length;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text->to + text->length, text->size - text->length, format, arguments);
	va_end(arguments);
	if (n > 0)
		text->length += (size_t)n < text->size - text->length ?
					(size_t)n :
					text->size - text->length - 1;
}

/* More than these are too many to read. */
#define MAX_NAMES 16

static void add_names(struct text *text, const struct pci_tree *tree, const int32_t *indices,
		      size_t count)
{
	for (size_t i = 0; i < count && i < MAX_NAMES; i++)
		add(text, "%s%s", i ? ", " : "", tree->nodes[indices[i]].name);
	if (count > MAX_NAMES)
		add(text, " and others");
}

/* @host: -1: several. */
static void add_host(struct text *text, const struct pci_tree *tree, int32_t host)
{
	const struct pci_node *node;

	if (host < 0) {
		add(text, "host bridges");
		return;
	}
	node = &tree->nodes[host];
	add(text, "host bridge %s", node->name);
	if (node->root.has_first)
		add(text, " (%04x:%04x)", node->root.first.vendor_id, node->root.first.device_id);
}

/* "..., which forwards requests between peers (...)" */
static void add_forwarding(struct text *text, const struct pci_tree *tree, const struct path *path)
{
	const struct pci_node *provider = &tree->nodes[tree->nodes[path->hops[0]].host];
	const struct pci_node *importer =
		&tree->nodes[tree->nodes[path->hops[path->nr_hops - 1]].host];

	if (path->host < 0 || path->is_mixed)
		add(text, "host bridges, which forward them%s", path->is_mixed ? " or not" : "");
	else if (provider == importer)
		add(text, "host bridge %s, which forwards them", provider->name);
	else
		add(text, "host bridges %s and %s, which forward them", provider->name,
		    importer->name);
	if (path->is_mixed)
		return;
	if (path->is_by_cpu)
		add(text, ", as AMD processors do from Zen on");
	else
		add(text, ", as the kernel's list says");
}

static const char *port_name(enum pci_kind kind)
{
	switch (kind) {
	case PCI_KIND_ROOT_PORT:
		return "root port";
	case PCI_KIND_UPSTREAM_PORT:
	case PCI_KIND_DOWNSTREAM_PORT:
		return "switch port";
	case PCI_KIND_BRIDGE:
		return "bridge";
	default:
		return "function";
	}
}

static void add_hidden(struct text *text, const struct pci_tree *tree, const struct path *path)
{
	switch (path->direct) {
	case PATH_REASON_SAME_FUNCTION:
		add(text, "provider and importer are one function, but whether its ACS redirects");
		break;
	case PATH_REASON_SAME_DEVICE:
		add(text, "both are functions of one device, but whether ACS redirects at ");
		add_names(text, tree, path->hidden, path->nr_hidden);
		break;
	default:
		add(text, "a port is above both, but whether ACS redirects at ");
		add_names(text, tree, path->hidden, path->nr_hidden);
	}
	add(text, " is only shown to CAP_SYS_ADMIN");
	if (path->is_possible == PATH_YES)
		add(text, "; it works either way");
	else
		add(text, "; if it does, the host bridge isn't known to forward requests");
}

static void explain_blocked(struct text *text, const struct pci_tree *tree, const struct path *path)
{
	switch (path->reason) {
	case PATH_REASON_ACS_BLOCKED:
		add(text, "ACS at ");
		add_names(text, tree, path->redirects, path->nr_redirects);
		add(text, " redirects requests to ");
		if (path->is_mixed) {
			add(text,
			    "host bridges, not all of which the kernel knows to forward them");
			break;
		}
		add_host(text, tree, path->host);
		add(text, "%s the kernel doesn't know to forward them",
		    path->host < 0 ? " that" : ", which");
		break;
	case PATH_REASON_DIFFERENT_HOSTS:
		add_host(text, tree, path->host);
		add(text, " forwards requests between peers below itself only, and these are below "
			  "different host bridges");
		break;
	case PATH_REASON_HOST_UNKNOWN:
		add(text, "whether ");
		add_host(text, tree, path->host);
		add(text,
		    " forwards requests between peers can't be seen without CAP_SYS_ADMIN and "
		    "/proc/cpuinfo");
		break;
	default:
		add(text, "no port is above both, and the kernel doesn't know ");
		add_host(text, tree, path->host);
		add(text, " to forward requests between peers");
	}
}

void path_explain(const struct pci_tree *tree, const struct path *path, char *ret_text, size_t size)
{
	struct text text = {ret_text, size, 0};

	ret_text[0] = '\0';
	switch (path->reason) {
	case PATH_REASON_SAME_FUNCTION:
		add(&text, "provider and importer are one function");
		break;
	case PATH_REASON_SAME_DEVICE:
	case PATH_REASON_COMMON_PORT:
		add(&text, "%s below %s %s, and no ACS redirects requests between them",
		    path->reason == PATH_REASON_SAME_DEVICE ? "both are functions of one device" :
							      "both are",
		    port_name(tree->nodes[path->common].kind), tree->nodes[path->common].name);
		break;
	case PATH_REASON_ACS:
		add(&text, "ACS at ");
		add_names(&text, tree, path->redirects, path->nr_redirects);
		add(&text, " redirects requests to ");
		add_forwarding(&text, tree, path);
		break;
	case PATH_REASON_HOST_BRIDGE:
		add(&text, "no port is above both; requests go through ");
		add_forwarding(&text, tree, path);
		break;
	case PATH_REASON_ACS_UNKNOWN:
		add_hidden(&text, tree, path);
		break;
	default:
		explain_blocked(&text, tree, path);
	}
}

static void advise_acs(struct text *text, const struct pci_tree *tree, const struct path *path,
		       const struct path_boot *boot)
{
	const char *ports[PATH_MAX_HOPS];

	for (size_t i = 0; i < path->nr_redirects; i++)
		ports[i] = tree->nodes[path->redirects[i]].name;
	path_advise_acs(boot, ports, path->nr_redirects, text->to + text->length,
			text->size - text->length);
}

void path_advise(const struct pci_tree *tree, const struct path *path, const struct path_boot *boot,
		 char *ret_text, size_t size)
{
	struct text text = {ret_text, size, 0};

	ret_text[0] = '\0';
	switch (path->reason) {
	case PATH_REASON_ACS:
		add(&text, "for the direct way ");
		advise_acs(&text, tree, path, boot);
		break;
	case PATH_REASON_ACS_BLOCKED:
		advise_acs(&text, tree, path, boot);
		break;
	case PATH_REASON_DIFFERENT_HOSTS:
		add(&text, "move the importer to a slot below %s, or both below one PCIe switch",
		    path->provider_host < 0 ? "the provider's host bridge" :
					      tree->nodes[path->provider_host].name);
		break;
	case PATH_REASON_NOT_FORWARDED:
		add(&text,
		    "move one of them so that both are below one PCIe switch; host bridges that "
		    "forward are AMD's from Zen on and those in the kernel's list (Linux %s: "
		    "pci_p2pdma_whitelist), which a newer one may have more of",
		    path_kernel);
		break;
	case PATH_REASON_ACS_UNKNOWN:
	case PATH_REASON_HOST_UNKNOWN:
		add(&text, "ask as root, or with the provider bound to p2pdma_export, whose kernel "
			   "module answers");
		break;
	default:
		break;
	}
}
