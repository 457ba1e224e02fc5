// SPDX-License-Identifier: MIT
/*
 * Tables for people by libsmartcols, JSON for programs by hand.
 *
 * Each cell is kept twice, as it is shown and as it is in JSON, so that a size is "64 MiB" in
 * one and 67108864 in the other. Text from devices and peers is escaped in both: libsmartcols
 * makes control characters visible, JSON has \u for them, and U+FFFD for what is no UTF-8. A program
 * that can't get the few bytes for that ends.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libsmartcols/libsmartcols.h>

#include "table.h"

struct cell {
	char *shown;
	char *json;
	const char *colour;
};

struct table {
	const struct cli *cli;
	const char *name;
	const struct column *columns;
	size_t nr_columns;
	struct cell *cells;
	size_t nr_cells;
	size_t room;
	bool has_begun; /* table_print_row() */
};

static void *must(void *pointer)
{
	if (!pointer)
		errx(EXIT_FAILED, "out of memory");
	return pointer;
}

struct table *table_new(const struct cli *cli, const char *name, const struct column *columns,
			size_t nr_columns)
{
	struct table *table = must(calloc(1, sizeof(*table)));

	table->cli = cli;
	table->name = name;
	table->columns = columns;
	table->nr_columns = nr_columns;
	return table;
}

void table_row(struct table *table)
{
	/* A row whose last cells weren't given has none there. */
	while (table->nr_cells % table->nr_columns)
		table_text(table, NULL);
}

static struct cell *add(struct table *table)
{
	if (table->nr_cells == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = must(reallocarray(table->cells, table->room, sizeof(*table->cells)));
	}
	memset(&table->cells[table->nr_cells], 0, sizeof(*table->cells));
	return &table->cells[table->nr_cells++];
}

static char *json_string(const char *text)
{
	char *json = must(malloc(strlen(text) * 6 + 3));
	char *to = json;

	*to++ = '"';
	while (*text) {
		size_t length = utf8_length(text);

		if (*text == '"' || *text == '\\')
			to += sprintf(to, "\\%c", *text);
		else if (!length)
			to = stpcpy(to, UTF8_REPLACEMENT);
		else if ((unsigned char)*text < 0x20 || *text == 0x7f)
			to += sprintf(to, "\\u%04x", (unsigned char)*text);
		else
			to = mempcpy(to, text, length);
		text += length ? length : 1;
	}
	strcpy(to, "\"");
	return json;
}

static void add_number(struct table *table, const char *json, const char *shown)
{
	struct cell *cell = add(table);

	cell->json = must(strdup(json));
	cell->shown = must(strdup(shown));
}

void table_text(struct table *table, const char *text)
{
	struct cell *cell = add(table);

	cell->shown = must(strdup(text && *text ? text : "-"));
	cell->json = text ? json_string(text) : must(strdup("null"));
}

void table_both(struct table *table, uint64_t number, const char *text)
{
	char json[24];

	snprintf(json, sizeof(json), "%" PRIu64, number);
	add_number(table, json, text);
}

void table_unknown(struct table *table)
{
	add_number(table, "null", "unknown");
}

void table_number(struct table *table, uint64_t number)
{
	char json[24];

	snprintf(json, sizeof(json), "%" PRIu64, number);
	add_number(table, json, json);
}

void table_signed(struct table *table, int64_t number)
{
	char json[24];

	snprintf(json, sizeof(json), "%" PRId64, number);
	add_number(table, json, json);
}

void table_bytes(struct table *table, uint64_t bytes)
{
	char text[32];

	if (table->cli->is_bytes)
		snprintf(text, sizeof(text), "%" PRIu64, bytes);
	else
		format_bytes(bytes, text, sizeof(text));
	table_both(table, bytes, text);
}

void table_colour(struct table *table, const char *colour)
{
	if (table->nr_cells)
		table->cells[table->nr_cells - 1].colour = colour;
}

size_t table_rows(const struct table *table)
{
	return table->nr_cells / table->nr_columns;
}

static void drop_cells(struct table *table)
{
	for (size_t i = 0; i < table->nr_cells; i++) {
		free(table->cells[i].shown);
		free(table->cells[i].json);
	}
	table->nr_cells = 0;
}

static void print_object(const struct table *table, size_t row)
{
	FILE *out = table->cli->out;

	for (size_t i = 0; i < table->nr_columns; i++)
		fprintf(out, "%s\"%s\": %s", i ? ", " : "", table->columns[i].key,
			table->cells[row * table->nr_columns + i].json);
}

static void print_array(const struct table *table)
{
	FILE *out = table->cli->out;

	fprintf(out, "\"%s\": [", table->name);
	for (size_t row = 0; row < table_rows(table); row++) {
		fprintf(out, "%s\n  {", row ? "," : "");
		print_object(table, row);
		fprintf(out, "}");
	}
	fprintf(out, "%s]", table_rows(table) ? "\n" : "");
}

static struct libscols_table *new_smartcols(const struct table *table)
{
	struct libscols_table *smart = must(scols_new_table());

	scols_table_enable_noheadings(smart, !table->cli->has_headings || table->has_begun);
	scols_table_enable_colors(smart, table->cli->has_colour);
	scols_table_set_stream(smart, table->cli->out);
	for (size_t i = 0; i < table->nr_columns; i++) {
		const struct column *column = &table->columns[i];

		if (column->heading)
			must(scols_table_new_column(smart, column->heading, 0,
						    column->is_right ? SCOLS_FL_RIGHT : 0));
	}
	return smart;
}

static void print_smartcols(struct table *table)
{
	struct libscols_table *smart = new_smartcols(table);

	for (size_t row = 0; row < table_rows(table); row++) {
		struct libscols_line *line = must(scols_table_new_line(smart, NULL));
		size_t shown = 0;

		for (size_t i = 0; i < table->nr_columns; i++) {
			const struct cell *cell = &table->cells[row * table->nr_columns + i];

			if (!table->columns[i].heading)
				continue;
			if (scols_line_set_data(line, shown, cell->shown))
				errx(EXIT_FAILED, "out of memory");
			if (cell->colour && table->cli->has_colour)
				scols_cell_set_color(scols_line_get_cell(line, shown),
						     cell->colour);
			shown++;
		}
	}
	scols_print_table(smart);
	scols_unref_table(smart);
}

static void table_free(struct table *table)
{
	drop_cells(table);
	free(table->cells);
	free(table);
}

void tables_print(const char *name, struct table *first, struct table *second)
{
	FILE *out = first->cli->out;

	table_row(first);
	if (second)
		table_row(second);
	if (first->cli->is_json) {
		fprintf(out, "{\"schema\": \"p2pctl.%s\", \"version\": 1, ", name);
		print_array(first);
		if (second) {
			fprintf(out, ", ");
			print_array(second);
		}
		fprintf(out, "}\n");
	} else {
		if (table_rows(first))
			print_smartcols(first);
		if (second && table_rows(second)) {
			fputc('\n', out);
			print_smartcols(second);
		}
	}
	table_free(first);
	if (second)
		table_free(second);
}

void table_print(struct table *table)
{
	tables_print(table->name, table, NULL);
}

void table_print_row(struct table *table)
{
	FILE *out = table->cli->out;

	table_row(table);
	if (table->cli->is_json) {
		fprintf(out, "{\"schema\": \"p2pctl.%s\", \"version\": 1, ", table->name);
		print_object(table, 0);
		fprintf(out, "}\n");
	} else {
		print_smartcols(table);
	}
	table->has_begun = true;
	drop_cells(table);
	fflush(out);
}
