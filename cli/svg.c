// SPDX-License-Identifier: MIT
/*
 * Text in a picture: escaped, since names in sysfs are whatever bytes a device has; cut where a
 * box ends, and broken into lines, since SVG does neither.
 *
 * How wide text comes out depends on a font that isn't known here: characters are counted, not measured.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "svg.h"

/* One character, as XML may have it; the next one. */
static const char *print_character(const char *c)
{
	size_t length = utf8_length(c);
	/* The two that are in UTF-8, but in no XML. */
	bool is_none = !strncmp(c, "\xef\xbf\xbe", 3) || !strncmp(c, "\xef\xbf\xbf", 3);

	if (*c == '&')
		fputs("&amp;", stdout);
	else if (*c == '<')
		fputs("&lt;", stdout);
	else if (*c == '>')
		fputs("&gt;", stdout);
	else if (!length || is_none)
		fputs(UTF8_REPLACEMENT, stdout);
	else if ((unsigned char)*c >= ' ' && *c != 0x7f)
		fwrite(c, 1, length, stdout);
	return c + (length ? length : 1);
}

static const char *skip(const char *text, size_t nr_characters)
{
	while (nr_characters-- && *text) {
		size_t length = utf8_length(text);

		text += length ? length : 1;
	}
	return text;
}

static void print_until(const char *text, const char *end)
{
	while (text < end)
		text = print_character(text);
}

size_t svg_length(const char *text)
{
	size_t length = 0;

	for (; *text; text = skip(text, 1))
		length++;
	return length;
}

void svg_print(const char *text)
{
	print_until(text, text + strlen(text));
}

void svg_print_clipped(const char *text, size_t most)
{
	if (svg_length(text) <= most) {
		svg_print(text);
	} else if (most) {
		print_until(text, skip(text, most - 1));
		fputs("\xe2\x80\xa6", stdout);
	}
}

static void print_part(int x, int y, const char *class, const char *text, const char *end)
{
	printf("<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
	print_until(text, end);
	printf("</text>\n");
}

void svg_line(int x, int y, const char *class, const char *text)
{
	print_part(x, y, class, text, text + strlen(text));
}

/* Where a line of text ends: before a space or behind a semicolon, else where it is full. */
static const char *find_end(const char *text, size_t width)
{
	const char *full = skip(text, width), *end = full;

	if (!*full)
		return full;
	while (end > text && *end != ' ' && end[-1] != ';')
		end--;
	return end > text ? end : full;
}

int svg_wrapped(const struct svg_block *block, const char *class, const char *text)
{
	int y = block->y;

	while (*text) {
		const char *end = find_end(text, block->width);

		if (class)
			print_part(block->x, y, class, text, end);
		y += block->step;
		text = end + (*end == ' ');
	}
	return y;
}
