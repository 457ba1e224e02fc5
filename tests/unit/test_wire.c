// SPDX-License-Identifier: MIT
/* What both sides check in a message: its header, its body, its texts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "unit.h"

static int check(uint32_t said_bytes, size_t size_bytes)
{
	struct wire_header header = {.size_bytes = said_bytes, .opcode = WIRE_HELLO, .serial = 1};
	/* On the heap, so that reading past it is seen. */
	uint8_t *packet = calloc(1, size_bytes ? size_bytes : 1);
	int r;

	assert_non_null(packet);
	memcpy(packet, &header, size_bytes < sizeof(header) ? size_bytes : sizeof(header));
	r = wire_check_header(packet, size_bytes);
	free(packet);
	return r;
}

static void check_header_sizes(void **state)
{
	(void)state;
	assert_int_equal(check(16, 16), 0);
	assert_int_equal(check(WIRE_MESSAGE_MAX, WIRE_MESSAGE_MAX), 0);
	assert_int_equal(check(15, 15), -EPROTO);
	assert_int_equal(check(WIRE_MESSAGE_MAX + 1, WIRE_MESSAGE_MAX + 1), -EPROTO);
	assert_int_equal(check(17, 16), -EPROTO);
	assert_int_equal(check(16, 17), -EPROTO);
	assert_int_equal(check(0, 0), -EPROTO);
}

/* A structure of 16 bytes, of which the first 8 were published first. */
static int load(const char *body, size_t size, uint8_t ret_body[16], int is_strict)
{
	struct message message = {.size_bytes = sizeof(struct wire_header) + size, .fd = -1};

	memcpy(message.bytes + sizeof(struct wire_header), body, size);
	memset(ret_body, 0xee, 16);
	return wire_load(&message, ret_body, 16, 8, is_strict);
}

static void load_short_known_and_long(void **state)
{
	static const uint8_t untouched[16] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
					      0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
	uint8_t body[16];

	(void)state;
	assert_int_equal(load("", 0, body, 1), -EINVAL);
	assert_int_equal(load("1234567", 7, body, 1), -EINVAL);
	assert_memory_equal(body, untouched, 16);
	assert_int_equal(load("12345678", 8, body, 1), 0);
	assert_memory_equal(body, "12345678\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(load("12345678abc", 11, body, 1), 0);
	assert_memory_equal(body, "12345678abc\0\0\0\0\0", 16);
	assert_int_equal(load("12345678abcdefgh", 16, body, 1), 0);
	assert_memory_equal(body, "12345678abcdefgh", 16);
	assert_int_equal(load("12345678abcdefgh\0\0\0", 19, body, 1), 0);
	assert_memory_equal(body, "12345678abcdefgh", 16);
}

static void load_unknown_tail_e2big_where_strict(void **state)
{
	static const char first[] = "12345678abcdefgh\1\0\0", last[] = "12345678abcdefgh\0\0\1";
	uint8_t body[16];

	(void)state;
	assert_int_equal(load(first, 19, body, 1), -E2BIG);
	assert_int_equal(load(last, 19, body, 1), -E2BIG);
	assert_int_equal(body[0], 0xee);
	assert_int_equal(load(first, 19, body, 0), 0);
	assert_memory_equal(body, "12345678abcdefgh", 16);
}

static void text_is_sound_or_not(void **state)
{
	static const struct {
		const char *text;
		int is_sound;
	} cases[] = {
		{"", 1},
		{"mlx5_0", 1},
		{" ~", 1},
		{"\xc2\xa0", 1},	 /* the first after C1 */
		{"\xdf\xbf", 1},	 /* U+07FF */
		{"\xe0\xa0\x80", 1},	 /* U+0800 */
		{"\xed\x9f\xbf", 1},	 /* U+D7FF */
		{"\xee\x80\x80", 1},	 /* U+E000 */
		{"\xe2\x80\x8f", 1},	 /* U+200F, a mark, which turns nothing round */
		{"\xe2\x80\xa7", 1},	 /* U+2027 */
		{"\xe2\x80\xaf", 1},	 /* U+202F */
		{"\xe2\x81\xa5", 1},	 /* U+2065 */
		{"\xe2\x81\xaa", 1},	 /* U+206A */
		{"\xf0\x90\x80\x80", 1}, /* U+10000 */
		{"\xf4\x8f\xbf\xbf", 1}, /* U+10FFFF */
		{"a\nb", 0},
		{"\t", 0},
		{"\x1b[31m", 0},
		{"\x1f", 0},
		{"\x7f", 0},
		{"\xc2\x80", 0}, /* C1 */
		{"\xc2\x9f", 0},
		{"\xe2\x80\xa8", 0},  /* a line's end */
		{"a\xe2\x80\xae", 0}, /* what follows is read from right to left */
		{"\xe2\x81\xa6", 0},
		{"\xe2\x81\xa9", 0},
		{"\x80", 0}, /* begins nothing */
		{"\xbf", 0},
		{"\xc0\x80", 0}, /* overlong */
		{"\xc1\xbf", 0},
		{"\xe0\x9f\xbf", 0},
		{"\xf0\x8f\xbf\xbf", 0},
		{"\xed\xa0\x80", 0}, /* surrogates */
		{"\xed\xbf\xbf", 0},
		{"\xf4\x90\x80\x80", 0}, /* beyond */
		{"\xf8\x88\x80\x80\x80", 0},
		{"\xff", 0},
		{"\xc3", 0}, /* cut */
		{"\xe2\x82", 0},
		{"\xf0\x9f\x98", 0},
		{"\xc3(", 0},
		{"\xe2\x82(", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* On the heap, so that reading past it is seen. */
		char *field = calloc(1, 16);

		assert_non_null(field);
		strcpy(field, cases[i].text);
		if (wire_text_is_sound(field, 16) != cases[i].is_sound)
			fail_msg("case %zu", i);
		/* Without its NUL it is none, whatever it says. */
		assert_false(wire_text_is_sound(field, strlen(cases[i].text)));
		free(field);
	}
}

static void text_after_its_nul_must_be_zero(void **state)
{
	char field[16] = "abc";

	(void)state;
	assert_true(wire_text_is_sound(field, sizeof(field)));
	field[15] = 1;
	assert_false(wire_text_is_sound(field, sizeof(field)));
	field[15] = 0;
	field[4] = 'x';
	assert_false(wire_text_is_sound(field, sizeof(field)));
	assert_true(wire_text_is_sound(field, 4));
	assert_false(wire_text_is_sound(field, 3));
	assert_false(wire_text_is_sound(field, 0));
}

static void text_set_cuts_at_a_character(void **state)
{
	static const struct {
		const char *text, *kept;
	} cases[] = {
		{"", ""},
		{"1234567", "1234567"},
		{"12345678", "1234567"},
		{"123456\xc3\xa4", "123456"},
		{"12345\xc3\xa4", "12345\xc3\xa4"},
		{"12345\xc3\xa4x", "12345\xc3\xa4"},
		{"12345\xe2\x82\xac", "12345"},
		{"123456\xe2\x82\xac", "123456"},
		{"1234\xf0\x9f\x98\x80", "1234"},
		{"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	};
	char field[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(field, 'x', sizeof(field));
		wire_text_set(field, sizeof(field), cases[i].text);
		assert_true(wire_text_is_sound(field, sizeof(field)));
		assert_string_equal(field, cases[i].kept);
	}
	/* Not even a text that is none gets out of its field. */
	wire_text_set(field, sizeof(field), "\x80\x80\x80\x80\x80\x80\x80\x80\x80");
	assert_string_equal(field, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_header_sizes),
		cmocka_unit_test(load_short_known_and_long),
		cmocka_unit_test(load_unknown_tail_e2big_where_strict),
		cmocka_unit_test(text_is_sound_or_not),
		cmocka_unit_test(text_after_its_nul_must_be_zero),
		cmocka_unit_test(text_set_cuts_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
