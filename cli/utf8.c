// SPDX-License-Identifier: MIT
/*
 * Text that isn't ours: names in sysfs are whatever bytes a device or its driver has put there, while JSON and
 * SVG must be well-formed UTF-8, or nothing can read them, and terminals act on control characters.
 */
#include "cli.h"

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_length(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	/* The second byte's bounds keep out what has a shorter form, surrogates, and what is too large. */
	unsigned char lowest = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char highest = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;
	size_t length;

	if (c[0] < 0x80)
		return c[0] != '\0';
	length = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
	if (c[0] < 0xc2 || c[0] > 0xf4 || c[1] < lowest || c[1] > highest)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (!is_continuation(c[i]))
			return 0;
	return length;
}

void text_print(const char *text)
{
	while (*text) {
		size_t length = utf8_length(text);

		/* C1's are two bytes. */
		if (!length || (unsigned char)*text < ' ' || *text == 0x7f ||
		    (*text == '\xc2' && (unsigned char)text[1] < 0xa0))
			fputs(UTF8_REPLACEMENT, stdout);
		else
			fwrite(text, 1, length, stdout);
		text += length ? length : 1;
	}
}
