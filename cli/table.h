/* SPDX-License-Identifier: MIT */
#ifndef TABLE_H
#define TABLE_H

#include "cli.h"

/*
 * What a command found: columns and rows, printed as a table for people or as JSON for
 * programs. The JSON is one object with the schema's name and version in it:
 *
 *	{"schema": "p2pctl.leases", "version": 1, "leases": [{...}, ...]}
 *
 * Keys are never renamed within a version; new ones may come.
 */
struct table;

struct column {
	const char *heading; /* NULL: only in JSON */
	const char *key;
	bool is_right; /* numbers */
};

/* @name: of the array, and of the schema behind "p2pctl.". No memory ends the program. */
struct table *table_new(const struct cli *cli, const char *name, const struct column *columns,
			size_t nr_columns);
void table_row(struct table *table);
/* The cells of the row, in order. */
void table_text(struct table *table, const char *text); /* NULL: none */
void table_number(struct table *table, uint64_t number);
void table_signed(struct table *table, int64_t number);
void table_bytes(struct table *table, uint64_t bytes);
/* A number that nobody tells: null, which is no 0. */
void table_unknown(struct table *table);
/* A number for programs, text for people. */
void table_both(struct table *table, uint64_t number, const char *text);
/* Colours the last cell where colours are wanted: "red", "yellow", "green". */
void table_colour(struct table *table, const char *colour);
size_t table_rows(const struct table *table);
/* Prints and frees. */
void table_print(struct table *table);
/* Two in one JSON object, whose schema is @name; for people one below the other. */
void tables_print(const char *name, struct table *first, struct table *second);
/* One row after the other, each as soon as it is there: JSON lines, or aligned text. */
void table_print_row(struct table *table);

#endif /* TABLE_H */
