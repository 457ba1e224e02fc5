// SPDX-License-Identifier: MIT
/*
 * The tree in Graphviz's language: host bridges as boxes around what is below them, links with
 * their width, and each path that is blocked as a red edge that says why.
 */
#include <inttypes.h>
#include <stdio.h>

#include "topo.h"

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

/* The same without what could end or escape. */
static void print_plain(const char *text)
{
	while (*text) {
		if (*text == '"' || *text == '\\')
			text++;
		else
			text = print_character(text);
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
	/* Lines end in Graphviz's own \n. */
	print_plain(node->device);
	printf("%s%s%s", *node->device ? "\\n" : "", node->name, *node->driver ? "\\n" : "");
	print_plain(node->driver);
	printf("\"];\n");
}

static void print_hosts(const struct topo *topo)
{
	for (size_t h = 0; h < topo->nr_nodes; h++) {
		if (!topo->is_shown[h] || topo->nodes[h].kind != P2PDMA_NODE_HOST_BRIDGE)
			continue;
		printf("  subgraph \"cluster %s\" {\n    label=\"%s, node %" PRId32
		       "\"; fontname=\"sans-serif\"; fontsize=11; style=rounded; "
		       "color=\"#adb5bd\";\n    ",
		       topo->nodes[h].name, topo->nodes[h].name, topo->nodes[h].numa_node);
		print_quoted(topo->nodes[h].name);
		printf(" [shape=box, style=filled, fillcolor=\"#343a40\", fontcolor=white];\n");
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

static void print_blocked(const struct topo *topo)
{
	struct p2pdma_path path;

	for (size_t i = 0; i < topo->nr_providers; i++) {
		for (size_t k = 0; k < topo->nr_importers; k++) {
			topo_path(topo, i, k, &path);
			if (path.map_type != P2PDMA_MAP_NOT_SUPPORTED)
				continue;
			printf("  ");
			print_quoted(path.provider);
			printf(" -> ");
			print_quoted(path.importer);
			printf(" [constraint=false, tailport=e, headport=e, "
			       "color=\"#d6336c\", style=dashed, arrowhead=tee, tooltip=");
			print_quoted(path.why);
			printf("];\n");
		}
	}
}

void topo_print_dot(const struct topo *topo)
{
	printf("digraph topo {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n"
	       "  edge [fontname=\"sans-serif\", fontsize=9];\n");
	print_hosts(topo);
	print_links(topo);
	print_blocked(topo);
	printf("}\n");
}
