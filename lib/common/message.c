// SPDX-License-Identifier: MIT
/*
 * Packets with descriptors over a SOCK_SEQPACKET socket.
 *
 * A packet is taken whole or not at all. The kernel installs descriptors in the
 * order in which they came and stops where this process has no room for more
 * (MSG_CTRUNC); whatever arrived is closed before an error is returned, so that
 * no peer can fill this process' table.
 *
 * The room for control messages takes the most descriptors that the kernel lets
 * through in one (SCM_MAX_FD), not the one that we accept: a peer that sends more is then
 * seen as what it is instead of leaving its surplus to the kernel's mercy.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"

#define CREDENTIALS_ROOM CMSG_SPACE(sizeof(struct ucred))

static bool is_broken(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

static ssize_t send_with(int socket_fd, const void *packet, size_t size_bytes, int fd_to_send)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = (void *)packet, .iov_len = size_bytes};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control.room)};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd_to_send, sizeof(int));
	return sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int message_send(int socket_fd, const void *packet, size_t size_bytes, int fd_to_send)
{
	ssize_t n;

	do {
		/* Most are sent alone, and then there is less for the kernel to look at. */
		n = fd_to_send < 0 ?
			    send(socket_fd, packet, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) :
			    send_with(socket_fd, packet, size_bytes, fd_to_send);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return is_broken(errno) ? -ECONNRESET : -errno;
}

/* Takes descriptors out of the control messages, of which there are at most @room. */
static size_t take_fds(struct msghdr *header, int *fds, size_t room)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t nr;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (nr > room - count)
			nr = room - count;
		memcpy(fds + count, CMSG_DATA(c), nr * sizeof(int));
		count += nr;
	}
	return count;
}

/* Closes none of what came: @ret_count descriptors, also where it fails. */
static int receive(int socket_fd, struct message *ret_message, size_t most_fds, int *fds,
		   size_t *ret_count)
{
	union {
		struct cmsghdr header;
		char room[CREDENTIALS_ROOM + CMSG_SPACE(sizeof(int) * MESSAGE_KERNEL_FDS)];
	} control;
	struct iovec data = {.iov_base = ret_message->bytes, .iov_len = WIRE_MESSAGE_MAX};
	struct msghdr header = {.msg_iov = &data,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = CMSG_LEN(sizeof(int) * most_fds)};
	ssize_t n;

	ret_message->fd = -1;
	ret_message->size_bytes = 0;
	*ret_count = 0;
	/* Where all have room, they have it also after somebody called message_is_none_left(). */
	if (most_fds == MESSAGE_KERNEL_FDS)
		header.msg_controllen += CREDENTIALS_ROOM;
	do {
		n = recvmsg(socket_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return is_broken(errno) ? -ECONNRESET : -errno;
	*ret_count = take_fds(&header, fds, most_fds);
	if (n == 0 && *ret_count == 0)
		return -ECONNRESET;
	if (header.msg_flags & MSG_CTRUNC && *ret_count < most_fds)
		return -EMFILE;
	if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || *ret_count > WIRE_FDS_MAX)
		return -EPROTO;
	ret_message->size_bytes = (size_t)n;
	return wire_check_header(ret_message->bytes, (size_t)n);
}

int message_receive(int socket_fd, struct message *ret_message)
{
	int fds[MESSAGE_KERNEL_FDS];
	size_t count;
	int r;

	r = receive(socket_fd, ret_message, MESSAGE_KERNEL_FDS, fds, &count);
	if (!r && count) {
		ret_message->fd = fds[0];
	} else if (r) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		ret_message->size_bytes = 0;
	}
	return r;
}

int message_receive_warily(int socket_fd, struct message *ret_message)
{
	size_t count;
	int fd, r;

	r = receive(socket_fd, ret_message, 1, &fd, &count);
	if (count)
		ret_message->fd = fd;
	return r;
}

int message_receive_all(int socket_fd, struct message *ret_message, int *fds, size_t *ret_count)
{
	return receive(socket_fd, ret_message, MESSAGE_KERNEL_FDS, fds, ret_count);
}

int message_peek(int socket_fd, struct wire_header *ret_header, bool *ret_has_fds)
{
	struct wire_header begin = {0};
	struct iovec data = {.iov_base = &begin, .iov_len = sizeof(begin)};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t n;

	do {
		n = recvmsg(socket_fd, &header, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return is_broken(errno) ? -ECONNRESET : -errno;
	*ret_has_fds = (header.msg_flags & MSG_CTRUNC) != 0;
	if (n == 0 && !*ret_has_fds)
		return -ECONNRESET;
	*ret_header = begin;
	return 0;
}

bool message_is_none_left(int socket_fd)
{
	struct msghdr header = {0};
	int on = 1;

	/* From here on none comes any more, and what is there has something to tell of its sender. */
	if (shutdown(socket_fd, SHUT_RDWR) < 0 ||
	    setsockopt(socket_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return false;
	return recvmsg(socket_fd, &header, MSG_PEEK | MSG_DONTWAIT) == 0 &&
	       !(header.msg_flags & (MSG_CTRUNC | MSG_TRUNC));
}

void message_done(struct message *message)
{
	if (message->fd >= 0)
		close(message->fd);
	message->fd = -1;
}
