// SPDX-License-Identifier: MIT
/*
 * The tree in Graphviz's language: host bridges as boxes around what is below them, links with
 * their width, and notes at the ports and host bridges that are in the way, which say in whose and what
 * to change. An edge for each pair would be a tangle: eight GPUs and eight adapters have 64.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "topo_groups.h"

#define FOLD 56 /* characters in a line of a note */

/* One character, of devices' names too: nothing that ends the text or makes it unreadable. */
static const char *print_character(const char *c)
{
	size_t length = utf8_length(c);

	if (!length)
		fputs(UTF8_REPLACEMENT, stdout);
	else if ((unsigned char)*c >= ' ' && *c != 0x7f)
		fwrite(c, 1, length, stdout);
	return c + (length ? length : 1);
}

/* Text between quotes. */
static void print_quoted(const char *text)
{
	putchar('"');
	while (*text) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		text = print_character(text);
	}
	putchar('"');
}

/* In a label, whose lines end in Graphviz's own \n or \l. */
static void print_label(const char *text)
{
	while (*text) {
		if (*text == '"')
			putchar('\\');
		text = *text == '\\' ? text + 1 : print_character(text);
	}
}

static void print_node(const struct p2pdma_node *node)
{
	printf("    ");
	print_quoted(node->name);
	if (node->kind != P2PDMA_NODE_FUNCTION) {
		printf(" [shape=box, style=filled, fillcolor=\"#f1f3f5\", color=\"%s\", "
		       "tooltip=\"%s\"];\n",
		       node->flags & P2PDMA_NODE_REDIRECTS ? "#d6336c" : "#495057",
		       kind_name(node->kind));
		return;
	}
	printf(" [shape=box, style=\"rounded,filled\", fillcolor=\"%s\", label=\"",
	       node->flags & P2PDMA_NODE_IMPORTER ? "#dbe7ff" : "#d9f5e4");
	print_label(node->device);
	printf("%s%s%s", *node->device ? "\\n" : "", node->name, *node->driver ? "\\n" : "");
	print_label(node->driver);
	printf("\"];\n");
}

static void print_host(const struct p2pdma_node *host)
{
	printf("  subgraph \"cluster %s\" {\n    label=\"%s", host->name, host->name);
	if (host->numa_node >= 0)
		printf(", node %" PRId32, host->numa_node);
	printf("\"; fontname=\"sans-serif\"; fontsize=11; style=rounded; color=\"#adb5bd\";\n    ");
	print_quoted(host->name);
	printf(" [shape=box, style=filled, fillcolor=\"#343a40\", fontcolor=white];\n");
}

static void print_hosts(const struct topo *topo)
{
	for (size_t h = 0; h < topo->nr_nodes; h++) {
		if (!topo->is_shown[h] || topo->nodes[h].kind != P2PDMA_NODE_HOST_BRIDGE)
			continue;
		print_host(&topo->nodes[h]);
		for (size_t i = h + 1; i < topo->nr_nodes; i++)
			if (topo->is_shown[i] && topo->nodes[i].host == (int32_t)h)
				print_node(&topo->nodes[i]);
		printf("  }\n");
	}
}

static void print_links(const struct topo *topo)
{
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		const struct p2pdma_node *node = &topo->nodes[i];
		char link[16];

		if (!topo->is_shown[i] || node->parent < 0)
			continue;
		printf("  ");
		print_quoted(topo->nodes[node->parent].name);
		printf(" -> ");
		print_quoted(node->name);
		link_format(node->link_generation, node->link_width, link, sizeof(link));
		if (node->link_generation)
			printf(" [dir=none, label=\"%s\", color=\"#868e96\", penwidth=%.1f]", link,
			       1.0 + (double)node->link_width / 8);
		else
			printf(" [dir=none]");
		printf(";\n");
	}
}

/* Lines that begin at the left, broken between words. */
static void print_folded(const char *text)
{
	char line[FOLD + 1];

	while (*text) {
		size_t length = strlen(text);

		if (length > FOLD) {
			length = FOLD;
			while (length > 1 && text[length] != ' ' && text[length - 1] != ';')
				length--;
			length = length > 1 ? length : FOLD;
		}
		memcpy(line, text, length);
		line[length] = '\0';
		print_label(line);
		printf("\\l");
		text += length;
		text += *text == ' ';
	}
}

/* What is in the way as a note at the place where it is. */
static void print_note(const struct topo *topo, const struct topo_group *group, size_t number)
{
	const char *colour = topo_legend[group->code].colour;
	char pairs[512], change[sizeof("change: ") + sizeof(group->path.advice)];

	topo_group_format(topo, group, pairs, sizeof(pairs));
	printf("  \"note %zu\" [shape=note, style=filled, fillcolor=white, color=\"%s\", "
	       "label=\"%s: ",
	       number, colour, topo_legend[group->code].letters);
	print_folded(pairs);
	print_folded(group->path.why);
	snprintf(change, sizeof(change), "change: %s", group->path.advice);
	print_folded(change);
	printf("\"];\n  \"note %zu\" -> ", number);
	print_quoted(group->path.place);
	printf(" [color=\"%s\", style=dashed, arrowhead=tee];\n", colour);
}

static void print_notes(const struct topo *topo)
{
	struct topo_groups groups = {.groups = NULL};
	struct p2pdma_path path;

	for (size_t i = 0; i < topo->nr_providers; i++) {
		for (size_t k = 0; k < topo->nr_importers; k++) {
			topo_path(topo, i, k, &path);
			topo_groups_add(&groups, topo, i, k, &path);
		}
	}
	topo_groups_finish(&groups, topo);
	for (size_t i = 0; i < groups.count; i++)
		print_note(topo, &groups.groups[i], i + 1);
	topo_groups_free(&groups);
}

void topo_print_dot(const struct topo *topo)
{
	printf("digraph topo {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n"
	       "  edge [fontname=\"sans-serif\", fontsize=9];\n");
	print_hosts(topo);
	print_links(topo);
	print_notes(topo);
	printf("}\n");
}
