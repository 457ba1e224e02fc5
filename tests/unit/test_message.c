// SPDX-License-Identifier: MIT
/* Packets and what both sides check in them: every descriptor that came is accounted for. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/message.h"
#include "fake.h"

#define MAX_FDS 253 /* that the kernel lets through at once */

struct fixture {
	int out, in;
	int nr_fds;
	struct message message;
	union {
		struct wire_header header;
		uint8_t bytes[WIRE_MESSAGE_MAX + 64];
	} packet;
};

static int setup(void **state)
{
	static struct fixture f;
	int fds[2];

	memset(&f, 0, sizeof(f));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	f.out = fds[0];
	f.in = fds[1];
	f.message.fd = -1;
	f.nr_fds = count_fds();
	*state = &f;
	return 0;
}

/* Nothing that came may still be open. */
static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(count_fds(), f->nr_fds);
	close(f->out);
	close(f->in);
	return 0;
}

/* A sound packet of this size. */
static const void *packet(struct fixture *f, size_t size_bytes)
{
	f->packet.header.size_bytes = (uint32_t)size_bytes;
	f->packet.header.opcode = WIRE_HELLO;
	f->packet.header.serial = 1;
	return &f->packet;
}

/* As a hostile peer may: any bytes, any number of descriptors. */
static void send_raw(struct fixture *f, const void *data, size_t size, size_t nr_fds)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} control = {0};
	struct iovec part = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[MAX_FDS];

	for (size_t i = 0; i < nr_fds; i++)
		fds[i] = f->out;
	if (nr_fds) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * nr_fds);
	}
	assert_int_equal(sendmsg(f->out, &message, MSG_NOSIGNAL), size);
}

static void send_receive_with_descriptor(void **state)
{
	struct fixture *f = *state;

	memset(f->packet.bytes, 0x5a, sizeof(f->packet.bytes));
	packet(f, 100);
	f->packet.header.flags = 0;
	assert_int_equal(message_send(f->out, &f->packet, 100, f->out), 0);
	assert_int_equal(message_receive(f->in, &f->message), 0);
	assert_int_equal(f->message.size_bytes, 100);
	assert_memory_equal(f->message.bytes, f->packet.bytes, 100);
	assert_true(f->message.fd >= 0);
	assert_int_equal(fcntl(f->message.fd, F_GETFD), FD_CLOEXEC);
	message_done(&f->message);
	assert_int_equal(f->message.fd, -1);
	message_done(&f->message);
}

static void send_receive_without_descriptor(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(message_send(f->out, packet(f, sizeof(struct wire_header)),
				      sizeof(struct wire_header), -1),
			 0);
	assert_int_equal(message_receive(f->in, &f->message), 0);
	assert_int_equal(f->message.size_bytes, sizeof(struct wire_header));
	assert_int_equal(f->message.fd, -1);
}

static void receive_nothing_eagain(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(message_receive(f->in, &f->message), -EAGAIN);
	assert_int_equal(f->message.fd, -1);
}

static void receive_after_close_econnreset(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(shutdown(f->out, SHUT_RDWR), 0);
	assert_int_equal(message_receive(f->in, &f->message), -ECONNRESET);
	assert_int_equal(message_send(f->in, packet(f, 16), 16, -1), -ECONNRESET);
}

static void receive_unread_then_close_econnreset(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	/* Whoever closes with something unread resets the other side. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(message_send(fds[0], packet(f, 16), 16, -1), 0);
	close(fds[1]);
	assert_int_equal(message_receive(fds[0], &f->message), -ECONNRESET);
	close(fds[0]);
}

static void send_to_who_does_not_read_eagain(void **state)
{
	struct fixture *f = *state;
	int r = 0;

	for (int i = 0; i < 100000 && !r; i++)
		r = message_send(f->out, packet(f, WIRE_MESSAGE_MAX), WIRE_MESSAGE_MAX, -1);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(message_receive(f->in, &f->message), 0);
	assert_int_equal(f->message.size_bytes, WIRE_MESSAGE_MAX);
}

static void receive_short_eproto(void **state)
{
	struct fixture *f = *state;

	for (size_t size = 1; size < sizeof(struct wire_header); size++) {
		send_raw(f, packet(f, size), size, size % 3);
		assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
		assert_int_equal(f->message.fd, -1);
	}
}

static void receive_wrong_size_bytes_eproto(void **state)
{
	static const uint32_t wrong[] = {0, 15, 16, 99, 101, WIRE_MESSAGE_MAX, UINT32_MAX};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		packet(f, 100);
		f->packet.header.size_bytes = wrong[i];
		send_raw(f, &f->packet, 100, 1);
		assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
		assert_int_equal(f->message.fd, -1);
	}
	/* The next one is none the worse for it. */
	send_raw(f, packet(f, 100), 100, 0);
	assert_int_equal(message_receive(f->in, &f->message), 0);
}

static void receive_header_flags_eproto(void **state)
{
	struct fixture *f = *state;

	packet(f, 64);
	f->packet.header.flags = 0x8000;
	send_raw(f, &f->packet, 64, 1);
	assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
}

static void receive_largest_and_larger(void **state)
{
	struct fixture *f = *state;

	send_raw(f, packet(f, WIRE_MESSAGE_MAX), WIRE_MESSAGE_MAX, 0);
	assert_int_equal(message_receive(f->in, &f->message), 0);
	send_raw(f, packet(f, WIRE_MESSAGE_MAX + 1), WIRE_MESSAGE_MAX + 1, 1);
	assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
	/* What it says may be what arrived of it. */
	packet(f, WIRE_MESSAGE_MAX);
	send_raw(f, &f->packet, WIRE_MESSAGE_MAX + 1, 1);
	assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
	assert_int_equal(f->message.fd, -1);
}

static void receive_empty_ends_it(void **state)
{
	struct fixture *f = *state;

	send_raw(f, "", 0, 0);
	assert_int_equal(message_receive(f->in, &f->message), -ECONNRESET);
	send_raw(f, "", 0, 1);
	assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
	assert_int_equal(f->message.fd, -1);
}

static void receive_many_descriptors_eproto_all_closed(void **state)
{
	static const size_t counts[] = {2, 3, 64, 252, MAX_FDS};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		send_raw(f, packet(f, 64), 64, counts[i]);
		assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
		assert_int_equal(f->message.fd, -1);
		assert_int_equal(count_fds(), f->nr_fds);
	}
}

static void receive_without_room_for_descriptors_emfile_all_closed(void **state)
{
	/* How many come, and how many have room. */
	static const size_t cases[][2] = {{1, 0}, {2, 0}, {2, 1}, {5, 2}, {MAX_FDS, 7}};
	struct fixture *f = *state;
	const char *preloaded = getenv("LD_PRELOAD");
	struct rlimit before, limit;
	int next = dup(0);

	close(next);
	if (preloaded && strstr(preloaded, "vgpreload")) {
		print_message("valgrind keeps the limit to itself, and the kernel has another\n");
		skip();
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		send_raw(f, packet(f, 64), 64, cases[i][0]);
		limit = before;
		limit.rlim_cur = (rlim_t)next + cases[i][1];
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		r = message_receive(f->in, &f->message);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(r, -EMFILE);
		assert_int_equal(f->message.fd, -1);
		assert_int_equal(count_fds(), f->nr_fds);
	}
	/* Who brings none doesn't mind. */
	send_raw(f, packet(f, 64), 64, 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(message_receive(f->in, &f->message), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void check_header_sizes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(wire_check_header(packet(f, 16), 16), 0);
	assert_int_equal(wire_check_header(packet(f, WIRE_MESSAGE_MAX), WIRE_MESSAGE_MAX), 0);
	assert_int_equal(wire_check_header(packet(f, 15), 15), -EPROTO);
	assert_int_equal(wire_check_header(packet(f, WIRE_MESSAGE_MAX + 1), WIRE_MESSAGE_MAX + 1),
			 -EPROTO);
	assert_int_equal(wire_check_header(packet(f, 17), 16), -EPROTO);
	assert_int_equal(wire_check_header(packet(f, 16), 17), -EPROTO);
	assert_int_equal(wire_check_header(packet(f, 0), 0), -EPROTO);
}

/* A structure of 16 bytes, of which the first 8 were published first. */
static int load(struct fixture *f, const char *body, size_t size, uint8_t ret_body[16],
		int is_strict)
{
	f->message.size_bytes = sizeof(struct wire_header) + size;
	memcpy(f->message.bytes + sizeof(struct wire_header), body, size);
	memset(ret_body, 0xee, 16);
	return wire_load(&f->message, ret_body, 16, 8, is_strict);
}

static void load_short_known_and_long(void **state)
{
	static const uint8_t untouched[16] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
					      0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
	struct fixture *f = *state;
	uint8_t body[16];

	assert_int_equal(load(f, "", 0, body, 1), -EINVAL);
	assert_int_equal(load(f, "1234567", 7, body, 1), -EINVAL);
	assert_memory_equal(body, untouched, 16);
	assert_int_equal(load(f, "12345678", 8, body, 1), 0);
	assert_memory_equal(body, "12345678\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(load(f, "12345678abc", 11, body, 1), 0);
	assert_memory_equal(body, "12345678abc\0\0\0\0\0", 16);
	assert_int_equal(load(f, "12345678abcdefgh", 16, body, 1), 0);
	assert_memory_equal(body, "12345678abcdefgh", 16);
	assert_int_equal(load(f, "12345678abcdefgh\0\0\0", 19, body, 1), 0);
	assert_memory_equal(body, "12345678abcdefgh", 16);
}

static void load_unknown_tail_e2big_where_strict(void **state)
{
	static const char first[] = "12345678abcdefgh\1\0\0", last[] = "12345678abcdefgh\0\0\1";
	struct fixture *f = *state;
	uint8_t body[16];

	assert_int_equal(load(f, first, 19, body, 1), -E2BIG);
	assert_int_equal(load(f, last, 19, body, 1), -E2BIG);
	assert_int_equal(body[0], 0xee);
	assert_int_equal(load(f, first, 19, body, 0), 0);
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
		{"\xf0\x90\x80\x80", 1}, /* U+10000 */
		{"\xf4\x8f\xbf\xbf", 1}, /* U+10FFFF */
		{"a\nb", 0},
		{"\t", 0},
		{"\x1b[31m", 0},
		{"\x1f", 0},
		{"\x7f", 0},
		{"\xc2\x80", 0}, /* C1 */
		{"\xc2\x9f", 0},
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

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(send_receive_with_descriptor),
		test(send_receive_without_descriptor),
		test(receive_nothing_eagain),
		test(receive_after_close_econnreset),
		test(receive_unread_then_close_econnreset),
		test(send_to_who_does_not_read_eagain),
		test(receive_short_eproto),
		test(receive_wrong_size_bytes_eproto),
		test(receive_header_flags_eproto),
		test(receive_largest_and_larger),
		test(receive_empty_ends_it),
		test(receive_many_descriptors_eproto_all_closed),
		test(receive_without_room_for_descriptors_emfile_all_closed),
		test(check_header_sizes),
		test(load_short_known_and_long),
		test(load_unknown_tail_e2big_where_strict),
		cmocka_unit_test(text_is_sound_or_not),
		cmocka_unit_test(text_after_its_nul_must_be_zero),
		cmocka_unit_test(text_set_cuts_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
