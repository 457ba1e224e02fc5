// SPDX-License-Identifier: MIT
/*
 * A picture of the machine: the tree from host bridges on the left to functions on the right, one
 * row each, links as lines as thick as they are wide; beside each provider its row of the matrix.
 * Ports that redirect are red, so is what is blocked, and below stands why.
 *
 * Positions are computed once: leaves from top to bottom in the tree's order, everything else in
 * the middle of what is below it. All text from devices is escaped.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "svg.h"
#include "topo_groups.h"

#define LEFT	      28
#define TOP	      150
#define ROW	      40
#define GAP	      18 /* between host bridges */
#define STEP	      192
#define PORT_WIDTH    124
#define LEAF_WIDTH    196
#define BOX_HEIGHT    32
#define CELL	      44
#define NOTE	      17 /* from line to line */
#define NOTE_CHAR     7	 /* as wide as a character of them is at most, on an average */
#define INDENT	      44
/* What fits into a box, and above the matrix. */
#define LEAF_CHARS    24
#define HEADING_CHARS 18

struct place {
	int x;
	int y;
	int width;
};

struct picture {
	const struct topo *topo;
	struct place *places;
	int matrix_x;
	int bottom; /* of the tree */
	int width;
	bool is_used[TOPO_NR_CODES];
	bool has_redirects;
	struct topo_groups groups;
};

static unsigned int depth_of(const struct topo *topo, size_t index)
{
	unsigned int depth = 0;

	for (int32_t i = topo->nodes[index].parent; i >= 0; i = topo->nodes[i].parent)
		depth++;
	return depth;
}

/* Puts what is below @index into rows; returns where the next one goes. */
static int place_below(struct picture *picture, size_t index, int y)
{
	const struct topo *topo = picture->topo;
	int first = -1, last = -1;

	for (size_t i = index + 1; i < topo->nr_nodes; i++) {
		if (!topo->is_shown[i] || topo->nodes[i].parent != (int32_t)index)
			continue;
		y = place_below(picture, i, y);
		first = first < 0 ? picture->places[i].y : first;
		last = picture->places[i].y;
	}
	if (first >= 0) {
		picture->places[index].y = (first + last) / 2;
		return y;
	}
	picture->places[index].y = y + ROW / 2;
	return y + ROW;
}

static void lay_out(struct picture *picture)
{
	const struct topo *topo = picture->topo;
	unsigned int deepest = 1;
	int y = TOP;

	picture->places = calloc(topo->nr_nodes + 1, sizeof(*picture->places));
	if (!picture->places)
		errx(EXIT_FAILED, "out of memory");
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		if (!topo->is_shown[i])
			continue;
		if (depth_of(topo, i) > deepest)
			deepest = depth_of(topo, i);
		if (topo->nodes[i].kind == P2PDMA_NODE_HOST_BRIDGE)
			y = place_below(picture, i, y) + GAP;
	}
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		bool is_leaf = topo->nodes[i].kind == P2PDMA_NODE_FUNCTION;
		unsigned int depth = is_leaf ? deepest : depth_of(topo, i);

		picture->places[i].x = LEFT + (int)depth * STEP;
		picture->places[i].width = is_leaf ? LEAF_WIDTH : PORT_WIDTH;
	}
	picture->matrix_x = LEFT + (int)deepest * STEP + LEAF_WIDTH + 30;
	picture->bottom = y;
	picture->width = picture->matrix_x + (int)topo->nr_importers * CELL + 100;
	if (picture->width < 900)
		picture->width = 900;
}

static bool is_degraded(const struct p2pdma_node *node)
{
	return node->link_generation && (node->link_generation < node->max_link_generation ||
					 node->link_width < node->max_link_width);
}

static void draw_link(const struct picture *picture, size_t index)
{
	const struct p2pdma_node *node = &picture->topo->nodes[index];
	const struct place *to = &picture->places[index];
	const struct place *from = &picture->places[node->parent];
	int middle = from->x + from->width + 14;
	char link[16];

	printf("<path d=\"M%d %dH%dV%dH%d\" class=\"link\" stroke-width=\"%.1f\"/>\n",
	       from->x + from->width, from->y, middle, to->y, to->x,
	       node->link_width ? 1.0 + (double)node->link_width / 6 : 1.0);
	if (!node->link_generation)
		return;
	link_format(node->link_generation, node->link_width, link, sizeof(link));
	svg_line(middle + 6, to->y - 6, is_degraded(node) ? "rate slow" : "rate", link);
}

static void draw_port(const struct p2pdma_node *node, const struct place *place)
{
	bool is_host = node->kind == P2PDMA_NODE_HOST_BRIDGE;
	bool redirects = node->flags & P2PDMA_NODE_REDIRECTS;
	char text[64];

	printf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\" class=\"%s\"/>\n",
	       place->x, place->y - BOX_HEIGHT / 2, place->width, BOX_HEIGHT,
	       is_host	 ? "host" :
	       redirects ? "port redirects" :
			   "port");
	svg_line(place->x + 9, place->y - 3, is_host ? "name light" : "name", node->name);
	if (is_host && node->numa_node >= 0)
		snprintf(text, sizeof(text), "host bridge, node %" PRId32, node->numa_node);
	else if (is_host)
		snprintf(text, sizeof(text), "host bridge");
	else
		snprintf(text, sizeof(text), "%s%s", kind_name(node->kind),
			 redirects ? ", ACS" : "");
	svg_line(place->x + 9, place->y + 10,
		 is_host   ? "small light" :
		 redirects ? "small bad" :
			     "small",
		 text);
}

/* Device and driver, as much of them as there is room for. */
static void draw_names(const struct p2pdma_node *node, const struct place *place)
{
	size_t taken = svg_length(node->device) + 1;

	printf("<text x=\"%d\" y=\"%d\"><tspan class=\"name\">", place->x + 10, place->y - 3);
	svg_print_clipped(node->device, LEAF_CHARS);
	printf("</tspan>");
	if (!*node->device)
		taken = 0;
	if (!*node->device && !*node->driver)
		printf("no driver");
	if (*node->driver && taken + 3 < LEAF_CHARS) {
		printf("%s", *node->device ? " " : "");
		svg_print_clipped(node->driver, LEAF_CHARS - taken);
	}
	printf("</text>\n");
}

static void draw_function(const struct p2pdma_node *node, const struct place *place)
{
	char text[128], size[32];

	printf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"8\" class=\"%s\"/>\n",
	       place->x, place->y - BOX_HEIGHT / 2, place->width, BOX_HEIGHT,
	       node->flags & P2PDMA_NODE_IMPORTER ? "importer" :
	       node->flags & P2PDMA_NODE_PROVIDER ? "provider" :
						    "port");
	draw_names(node, place);
	format_bytes(node->bar_bytes, size, sizeof(size));
	if (node->flags & P2PDMA_NODE_PROVIDER)
		snprintf(text, sizeof(text), "%s, BAR %" PRIu32 ": %s", node->name, node->bar,
			 size);
	else
		snprintf(text, sizeof(text), "%s", node->name);
	svg_line(place->x + 10, place->y + 10, "small", text);
}

static void draw_tree(const struct picture *picture)
{
	const struct topo *topo = picture->topo;

	for (size_t i = 0; i < topo->nr_nodes; i++)
		if (topo->is_shown[i] && topo->nodes[i].parent >= 0)
			draw_link(picture, i);
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		if (!topo->is_shown[i])
			continue;
		if (topo->nodes[i].kind == P2PDMA_NODE_FUNCTION)
			draw_function(&topo->nodes[i], &picture->places[i]);
		else
			draw_port(&topo->nodes[i], &picture->places[i]);
	}
}

static void draw_headings(const struct picture *picture)
{
	for (size_t k = 0; k < picture->topo->nr_importers; k++) {
		int x = picture->matrix_x + (int)k * CELL + CELL / 2 + 4;

		printf("<text x=\"%d\" y=\"%d\" class=\"name\" transform=\"rotate(-50 %d %d)\">", x,
		       TOP - 10, x, TOP - 10);
		svg_print_clipped(topo_importer_name(picture->topo, k), HEADING_CHARS);
		printf("</text>\n");
	}
}

static void draw_row(const struct picture *picture, size_t provider)
{
	const struct topo *topo = picture->topo;
	int y = picture->places[topo->providers[provider]].y - ROW / 2;
	struct p2pdma_path path;

	printf("<path d=\"M%d %dH%d\" class=\"guide\"/>\n", picture->matrix_x - 30, y + ROW / 2,
	       picture->matrix_x);
	for (size_t k = 0; k < topo->nr_importers; k++) {
		const struct topo_legend *legend;
		int x = picture->matrix_x + (int)k * CELL;
		enum topo_code code;

		topo_path(topo, provider, k, &path);
		code = topo_code(&path);
		legend = &topo_legend[code];
		printf("<g><title>%s to ", path.provider);
		svg_print(topo_importer_name(topo, k));
		printf(": ");
		svg_print(path.why);
		printf("</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" "
		       "fill=\"%s\"/>",
		       x + 2, y + 4, CELL - 4, ROW - 8, legend->colour);
		printf("<text x=\"%d\" y=\"%d\" class=\"cell%s\">%s", x + CELL / 2, y + ROW / 2 + 4,
		       code == TOPO_NO ? " light" : "", legend->letters);
		if (path.distance > 0)
			printf(" %" PRId32, path.distance);
		printf("</text></g>\n");
	}
}

static void draw_swatch(int x, int y, enum topo_code code)
{
	printf("<rect x=\"%d\" y=\"%d\" width=\"34\" height=\"16\" rx=\"4\" fill=\"%s\"/>"
	       "<text x=\"%d\" y=\"%d\" class=\"cell%s\">%s</text>\n",
	       x, y - 12, topo_legend[code].colour, x + 17, y, code == TOPO_NO ? " light" : "",
	       topo_legend[code].letters);
}

static int draw_legend(const struct picture *picture, int y, bool is_drawn)
{
	for (size_t i = 0; i < TOPO_NR_CODES; i++) {
		if (!picture->is_used[i])
			continue;
		if (is_drawn)
			draw_swatch(LEFT, y, (enum topo_code)i);
		if (is_drawn)
			svg_line(LEFT + INDENT, y, "note", topo_legend[i].meaning);
		y += NOTE + 3;
	}
	return y + 12;
}

/* What the boxes are; those that redirect only where there are any. */
static void draw_kinds(const struct picture *picture)
{
	static const struct {
		const char *class, *meaning;
	} kinds[] = {
		{"provider", "provider"},
		{"importer", "importer"},
		{"port redirects", "port whose ACS redirects requests upwards"},
	};
	size_t nr_kinds = sizeof(kinds) / sizeof(*kinds) - !picture->has_redirects;
	int x = LEFT;

	for (size_t i = 0; i < nr_kinds; i++) {
		printf("<rect x=\"%d\" y=\"68\" width=\"22\" height=\"14\" rx=\"4\" "
		       "class=\"%s\"/>\n",
		       x, kinds[i].class);
		svg_line(x + 30, 79, "note", kinds[i].meaning);
		x += 30 + (int)strlen(kinds[i].meaning) * NOTE_CHAR + 16;
	}
}

/* Which codes there are, and what is in the way: their room must be known first. */
static void take_stock(struct picture *picture)
{
	const struct topo *topo = picture->topo;
	struct p2pdma_path path;

	for (size_t i = 0; i < topo->nr_providers; i++) {
		for (size_t k = 0; k < topo->nr_importers; k++) {
			topo_path(topo, i, k, &path);
			picture->is_used[topo_code(&path)] = true;
			topo_groups_add(&picture->groups, topo, i, k, &path);
		}
	}
	topo_groups_finish(&picture->groups, topo);
	for (size_t i = 0; i < topo->nr_nodes; i++)
		if (topo->is_shown[i] && topo->nodes[i].flags & P2PDMA_NODE_REDIRECTS)
			picture->has_redirects = true;
}

static int draw_group(const struct picture *picture, const struct topo_group *group, int y,
		      bool is_drawn)
{
	struct svg_block block = {LEFT + INDENT, y, NOTE, 0};
	char text[sizeof("Change: ") + sizeof(group->path.advice)];

	block.width = (size_t)(picture->width - block.x - LEFT) / NOTE_CHAR;
	if (is_drawn)
		draw_swatch(LEFT, y, group->code);
	topo_group_format(picture->topo, group, text, sizeof(text));
	block.y = svg_wrapped(&block, is_drawn ? "note strong" : NULL, text);
	block.y = svg_wrapped(&block, is_drawn ? "note" : NULL, group->path.why) + 6;
	if (!group->is_last)
		return block.y;
	snprintf(text, sizeof(text), "Change: %s", group->path.advice);
	return svg_wrapped(&block, is_drawn ? "note change" : NULL, text) + 12;
}

/* The legend and the notes; drawn, or only measured: where they end. */
static int draw_words(const struct picture *picture, bool is_drawn)
{
	int y = draw_legend(picture, picture->bottom + 24, is_drawn);

	for (size_t i = 0; i < picture->groups.count; i++)
		y = draw_group(picture, &picture->groups.groups[i], y, is_drawn);
	return y;
}

static const char style[] =
	"text{font:11px system-ui,\"DejaVu Sans\",sans-serif;fill:#212529}"
	".title{font-size:17px;font-weight:600}.name,.strong{font-weight:600}.small{font-size:9."
	"5px;"
	"fill:#495057}.light,.small.light{fill:#fff}.bad,.small.bad{fill:#d6336c}"
	".rate{font-size:9px;fill:#868e96}.slow{fill:#e8590c}.cell{text-anchor:middle;"
	"font-size:10px;font-weight:600}.note{font-size:11.5px}"
	".change{fill:#0b6e3a}.guide{stroke:#ced4da;stroke-dasharray:2 3}"
	".link{fill:none;stroke:#adb5bd}.host{fill:#343a40}"
	".port{fill:#f1f3f5;stroke:#ced4da}.redirects{fill:#ffe3ec;stroke:#d6336c;"
	"stroke-width:1.6}.provider{fill:#d9f5e4;stroke:#69db9c}"
	".importer{fill:#dbe7ff;stroke:#74a0f0}";

void topo_print_svg(const struct topo *topo)
{
	struct picture picture = {.topo = topo};
	int height;

	take_stock(&picture);
	lay_out(&picture);
	height = draw_words(&picture, false) + 8;
	printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
	       "viewBox=\"0 0 %d %d\">\n<style>%s</style>\n"
	       "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
	       picture.width, height, picture.width, height, style);
	svg_line(LEFT, 34, "title", "Peer-to-peer paths, provider to importer");
	svg_line(LEFT, 56, "note",
		 "Lines are PCIe links: generation and lanes, orange where trained below what "
		 "they could.");
	draw_kinds(&picture);
	draw_headings(&picture);
	draw_tree(&picture);
	for (size_t i = 0; i < topo->nr_providers; i++)
		draw_row(&picture, i);
	draw_words(&picture, true);
	printf("</svg>\n");
	free(picture.places);
	topo_groups_free(&picture.groups);
}
