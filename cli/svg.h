/* SPDX-License-Identifier: MIT */
#ifndef SVG_H
#define SVG_H

#include <stddef.h>

/* To standard output, escaped, in full or its first @most characters. */
void svg_print(const char *text);
void svg_print_clipped(const char *text, size_t most);
/* A line of text whose foot is at @y, of a class of the style sheet. */
void svg_line(int x, int y, const char *class, const char *text);
/*
 * In lines of @width characters, @step apart, broken where words end; only measured without a class.
 * Where the next line goes.
 */
struct svg_block {
	int x;
	int y;
	int step;
	size_t width;
};
int svg_wrapped(const struct svg_block *block, const char *class, const char *text);
/* How many characters are shown. */
size_t svg_length(const char *text);

#endif /* SVG_H */
