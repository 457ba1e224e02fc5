/* SPDX-License-Identifier: MIT */
#ifndef COMMON_MESSAGE_H
#define COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

/*
 * One packet out or in. Neither blocks: the descriptor is in non-blocking mode or
 * MSG_DONTWAIT does it.
 */

/* A packet as it came in. */
struct message {
	size_t size_bytes;
	int fd; /* -1: none came; owned by whoever takes it, see message_done() */
	union {
		struct wire_header header;
		uint8_t bytes[WIRE_MESSAGE_MAX];
		uint64_t aligned[WIRE_MESSAGE_MAX / 8];
	};
};

/*
 * @fd_to_send: borrowed, or -1. 0, or -EAGAIN when the peer doesn't read, -ETOOMANYREFS when too
 * many descriptors are in flight, -ECONNRESET where the connection has ended.
 */
int message_send(int socket_fd, const void *packet, size_t size_bytes, int fd_to_send);

/*
 * Fills @ret_message, whose header is then known to be sound (wire_check_header()). 0;
 * -EAGAIN; -ECONNRESET at the end of the connection; -EPROTO for what isn't a message: every
 * descriptor that came with it has been closed. -EMFILE when a descriptor came that has no
 * room in this process: the message is lost, and its peer must be dropped.
 */
int message_receive(int socket_fd, struct message *ret_message);

/*
 * The same, but where it fails the descriptor that came is the caller's to close, -1 for none:
 * at most one comes in. For who must not wait for the file system behind it.
 */
int message_receive_warily(int socket_fd, struct message *ret_message);

/* As many descriptors as the kernel lets through with one packet (SCM_MAX_FD). */
#define MESSAGE_KERNEL_FDS 253

/*
 * The same with all that came: @fds has room for MESSAGE_KERNEL_FDS, and @ret_count of them are the
 * caller's to close, whatever is returned.
 */
int message_receive_all(int socket_fd, struct message *ret_message, int *fds, size_t *ret_count);

/*
 * What is next, not taken: its header, and whether descriptors came along. They are not let in. 0;
 * -EAGAIN; -ECONNRESET. What is no packet has zeroes there: message_receive() says what it is.
 */
int message_peek(int socket_fd, struct wire_header *ret_header, bool *ret_has_fds);

/*
 * Ends the connection: may it be closed without anything being let go of that came in it? Else whoever
 * closes it last also closes what others have sent, for as long as that takes.
 */
bool message_is_none_left(int socket_fd);

/* Closes the descriptor that nobody took. */
void message_done(struct message *message);

/* Is it one message, as long as it says? Descriptors aside. 0 or -EPROTO. */
int wire_check_header(const void *packet, size_t size_bytes);

/*
 * Copies the body of a message into the structure as this program knows it, zeroing what
 * the sender didn't know. @first_bytes: the size first published. -EINVAL: too short.
 * -E2BIG: something unknown is set (checked where @is_strict; replies aren't).
 */
int wire_load(const struct message *message, void *ret_body, size_t known_bytes, size_t first_bytes,
	      int is_strict);

/* A text field: NUL within it, zero after it, no control characters, sound UTF-8. */
int wire_text_is_sound(const char *text, size_t size_bytes);

/* Copies @text, cut to fit, and zeroes the rest. */
void wire_text_set(char *field, size_t size_bytes, const char *text);

#endif /* COMMON_MESSAGE_H */
