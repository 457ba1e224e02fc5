// SPDX-License-Identifier: MIT
/* Packets: every descriptor that came is accounted for. */
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

/* With room for so many descriptors more in this process. */
static int receive_with_room(struct fixture *f, size_t room,
			     int (*receive)(int socket_fd, struct message *ret_message))
{
	struct rlimit before, limit;
	int next = dup(0), r;

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next + room;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r = receive(f->in, &f->message);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	return r;
}

static void receive_without_room_for_descriptors_emfile_all_closed(void **state)
{
	/* How many come, and how many have room. */
	static const size_t cases[][2] = {{1, 0}, {2, 0}, {2, 1}, {5, 2}, {MAX_FDS, 7}};
	struct fixture *f = *state;
	const char *preloaded = getenv("LD_PRELOAD");

	if (preloaded && strstr(preloaded, "vgpreload")) {
		print_message("valgrind keeps the limit to itself, and the kernel has another\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		send_raw(f, packet(f, 64), 64, cases[i][0]);
		assert_int_equal(receive_with_room(f, cases[i][1], message_receive), -EMFILE);
		assert_int_equal(f->message.fd, -1);
		assert_int_equal(count_fds(), f->nr_fds);
	}
	send_raw(f, packet(f, 64), 64, 1);
	assert_int_equal(receive_with_room(f, 0, message_receive_warily), -EMFILE);
	assert_int_equal(f->message.fd, -1);
	/* Who brings none doesn't mind. */
	send_raw(f, packet(f, 64), 64, 0);
	assert_int_equal(receive_with_room(f, 0, message_receive), 0);
}

static void receive_warily_keeps_what_came_with_a_message(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(message_receive_warily(f->in, &f->message), -EAGAIN);
	assert_int_equal(f->message.fd, -1);
	send_raw(f, packet(f, 64), 64, 0);
	assert_int_equal(message_receive_warily(f->in, &f->message), 0);
	assert_int_equal(f->message.size_bytes, 64);
	assert_int_equal(f->message.fd, -1);
	send_raw(f, packet(f, 64), 64, 1);
	assert_int_equal(message_receive_warily(f->in, &f->message), 0);
	assert_int_equal(fcntl(f->message.fd, F_GETFD), FD_CLOEXEC);
	message_done(&f->message);
}

/* Whose file hangs when it is closed must not hold up whoever receives. */
static void receive_warily_leaves_closing_to_the_caller(void **state)
{
	static const struct {
		size_t size_bytes, said_bytes, nr_fds;
	} cases[] = {{64, 63, 1}, {8, 8, 1}, {0, 0, 1}, {64, 64, 2}, {64, 64, MAX_FDS}};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		send_raw(f, packet(f, cases[i].said_bytes), cases[i].size_bytes, cases[i].nr_fds);
		assert_int_equal(message_receive_warily(f->in, &f->message), -EPROTO);
		assert_true(f->message.fd >= 0);
		assert_int_equal(count_fds(), f->nr_fds + 1);
		message_done(&f->message);
	}
	send_raw(f, packet(f, 64), 64, 1);
	assert_int_equal(message_receive_warily(f->in, &f->message), 0);
	message_done(&f->message);
}

static void receive_all_leaves_all_to_the_caller(void **state)
{
	static const size_t counts[] = {0, 1, 2, MAX_FDS};
	struct fixture *f = *state;
	int fds[MESSAGE_KERNEL_FDS], on = 1;
	size_t count;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
		size_t sent = counts[i % ARRAY_SIZE(counts)];

		/* Also where credentials come before them. */
		if (i == ARRAY_SIZE(counts))
			assert_int_equal(
				setsockopt(f->in, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
		send_raw(f, packet(f, 64), 64, sent);
		assert_int_equal(message_receive_all(f->in, &f->message, fds, &count),
				 sent < 2 ? 0 : -EPROTO);
		assert_int_equal(f->message.fd, -1);
		assert_int_equal(count, sent);
		assert_int_equal(count_fds(), f->nr_fds + (int)sent);
		for (size_t k = 0; k < count; k++)
			assert_int_equal(close(fds[k]), 0);
	}
	assert_int_equal(message_receive_all(f->in, &f->message, fds, &count), -EAGAIN);
	assert_int_equal(count, 0);
}

static void none_left_ends_it(void **state)
{
	struct fixture *f = *state;

	assert_true(message_is_none_left(f->in));
	assert_int_equal(message_send(f->out, packet(f, 16), 16, -1), -ECONNRESET);
	assert_int_equal(message_receive(f->out, &f->message), -ECONNRESET);
	assert_true(message_is_none_left(f->in));
}

static void none_left_after_a_packet_false(void **state)
{
	static const size_t counts[] = {0, 1, MAX_FDS};
	int fds[2];

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(counts); i++) {
		struct fixture pair = {0};

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
		pair.out = fds[0];
		/* An empty one looks like the end, but isn't. */
		send_raw(&pair, "x", i / ARRAY_SIZE(counts) % 2, counts[i % ARRAY_SIZE(counts)]);
		if (i >= 2 * ARRAY_SIZE(counts))
			close(fds[0]);
		assert_false(message_is_none_left(fds[1]));
		if (i < 2 * ARRAY_SIZE(counts))
			close(fds[0]);
		close(fds[1]);
	}
}

static void peek_says_what_is_next_and_takes_nothing(void **state)
{
	static const size_t counts[] = {0, 1, 2, MAX_FDS};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		send_raw(f, packet(f, 64), 64, counts[i]);
		for (int again = 0; again < 2; again++) {
			struct wire_header header = {0};
			bool has_fds = !counts[i];

			assert_int_equal(message_peek(f->in, &header, &has_fds), 0);
			assert_memory_equal(&header, &f->packet, sizeof(header));
			assert_int_equal(has_fds, counts[i] > 0);
			assert_int_equal(count_fds(), f->nr_fds);
		}
		assert_int_equal(message_receive(f->in, &f->message), counts[i] < 2 ? 0 : -EPROTO);
		message_done(&f->message);
	}
}

static void peek_without_a_packet(void **state)
{
	struct fixture *f = *state;
	struct wire_header header = {.opcode = 1};
	bool has_fds = true;
	int fds[2];

	assert_int_equal(message_peek(f->in, &header, &has_fds), -EAGAIN);
	/* Less than a header has no opcode. */
	send_raw(f, "x", 1, 0);
	assert_int_equal(message_peek(f->in, &header, &has_fds), 0);
	assert_int_equal(header.opcode, 0);
	assert_false(has_fds);
	assert_int_equal(message_receive(f->in, &f->message), -EPROTO);
	assert_int_equal(shutdown(f->out, SHUT_RDWR), 0);
	assert_int_equal(message_peek(f->in, &header, &has_fds), -ECONNRESET);
	assert_int_equal(message_receive(f->in, &f->message), -ECONNRESET);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(message_send(fds[0], packet(f, 16), 16, -1), 0);
	close(fds[1]);
	assert_int_equal(message_peek(fds[0], &header, &has_fds), -ECONNRESET);
	close(fds[0]);
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
		test(receive_warily_keeps_what_came_with_a_message),
		test(receive_warily_leaves_closing_to_the_caller),
		test(receive_all_leaves_all_to_the_caller),
		test(none_left_ends_it),
		test(none_left_after_a_packet_false),
		test(peek_says_what_is_next_and_takes_nothing),
		test(peek_without_a_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
