// SPDX-License-Identifier: MIT
/*
 * What both sides check in a message before they look at what it says.
 *
 * Nothing here trusts a length or a text that came in: a message is as long as
 * its packet, a structure that is longer than we know must be zero there, a text
 * ends within its field.
 */
#include <errno.h>
#include <string.h>

#include "message.h"

int wire_check_header(const void *packet, size_t size_bytes)
{
	struct wire_header header;

	if (size_bytes < sizeof(header) || size_bytes > WIRE_MESSAGE_MAX)
		return -EPROTO;
	memcpy(&header, packet, sizeof(header));
	return header.size_bytes == size_bytes && !header.flags ? 0 : -EPROTO;
}

int wire_load(const struct message *message, void *ret_body, size_t known_bytes, size_t first_bytes,
	      int is_strict)
{
	const uint8_t *body = message->bytes + sizeof(struct wire_header);
	size_t got = message->size_bytes - sizeof(struct wire_header);
	size_t both = got < known_bytes ? got : known_bytes;

	if (got < first_bytes)
		return -EINVAL;
	for (size_t i = known_bytes; is_strict && i < got; i++)
		if (body[i])
			return -E2BIG;
	memset(ret_body, 0, known_bytes);
	memcpy(ret_body, body, both);
	return 0;
}

/*
 * What ends a line, or turns round how the rest of it is read: in a list or a log it would have
 * what follows pass for something else.
 */
static int spoils_line(uint32_t code)
{
	return (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* How many bytes the character takes, 0 where it is none. */
static size_t character_bytes(const unsigned char *s, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t first;
	} forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t bytes = 1; bytes <= 4 && bytes <= left; bytes++) {
		uint32_t code = s[0] & (unsigned char)~forms[bytes - 1].mask;

		if ((s[0] & forms[bytes - 1].mask) != forms[bytes - 1].lead)
			continue;
		for (size_t i = 1; i < bytes; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3f);
		}
		/* Not: overlong forms, surrogates, beyond Unicode, C0, DEL and C1. */
		if (code < forms[bytes - 1].first || (code >= 0xd800 && code < 0xe000) ||
		    code > 0x10ffff || code < 0x20 || (code >= 0x7f && code < 0xa0) ||
		    spoils_line(code))
			return 0;
		return bytes;
	}
	return 0;
}

int wire_text_is_sound(const char *text, size_t size_bytes)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t length = strnlen(text, size_bytes);

	if (length == size_bytes)
		return 0;
	for (size_t i = 0; i < length;) {
		size_t bytes = character_bytes(s + i, length - i);

		if (!bytes)
			return 0;
		i += bytes;
	}
	for (size_t i = length; i < size_bytes; i++)
		if (s[i])
			return 0;
	return 1;
}

void wire_text_set(char *field, size_t size_bytes, const char *text)
{
	size_t length = strnlen(text, size_bytes - 1);

	/* Not in the middle of a character. */
	while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	memset(field, 0, size_bytes);
	memcpy(field, text, length);
}
