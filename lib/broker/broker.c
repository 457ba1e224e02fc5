// SPDX-License-Identifier: MIT
/*
 * The connection to p2pd, as a state machine that never blocks.
 *
 *     CLOSED -> HELLO -> RESTORING -> UP
 *        ^--------'---------'---------'   whenever the connection breaks
 *
 * Three drive it, always under context->lock: the context's event sources (the socket is
 * readable, the timer is due), so that a program that only polls connects again too; and
 * whoever waits for a reply (call.c). Who reads takes everything: events take effect at
 * once, a reply is put where its caller finds it, and the caller is woken.
 *
 * p2pd answers in order, so the next reply's serial is known; one that nobody waits for any
 * more is dropped, and a slice that came too late is given back. Anything else is a broken
 * peer: the connection ends, and leases are taken up on the next one.
 *
 * It is tried again after 20 ms, then ever more slowly, at most every 2 s, and never by everyone at
 * the same time.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define FIRST_RETRY_MS	20ULL
#define LAST_RETRY_MS	2000ULL
#define READS_AT_ONCE	64
#define LARGEST_ERRNO	4095
#define DEFAULT_TIMEOUT 5000

static void socket_ready(struct event_source *source)
{
	broker_read(list_entry(source, struct broker, socket), READS_AT_ONCE);
}

static void timer_ready(struct event_source *source)
{
	struct broker *broker = list_entry(source, struct broker, timer);
	uint64_t count;

	if (read(source->fd, &count, sizeof(count)) == sizeof(count))
		broker_tick(broker);
}

int broker_new(struct p2pdma_context *context, const char *path, uint32_t timeout_ms,
	       const int *epoll_fd, struct broker **ret_broker)
{
	pthread_condattr_t attributes;
	struct broker *broker;

	if (!path)
		path = WIRE_SOCKET_PATH;
	if (strlen(path) >= sizeof(broker->path))
		return context_fail(NULL, -EINVAL, "%s is too long for the name of a socket", path);
	broker = calloc(1, sizeof(*broker));
	if (!broker)
		return context_fail(NULL, -ENOMEM, "no memory for a connection");
	broker->context = context;
	broker->epoll_fd = epoll_fd;
	broker->timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT;
	strcpy(broker->path, path);
	broker->socket = (struct event_source){.fd = -1, .ready = socket_ready};
	broker->timer = (struct event_source){.fd = -1, .ready = timer_ready};
	broker->wake_fd = -1;
	broker->request.reply.fd = broker->incoming.fd = -1;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&broker->idle, &attributes);
	pthread_condattr_destroy(&attributes);
	list_init(&broker->leases);
	list_init(&broker->publications);
	for (size_t i = 0; i < BROKER_BUCKETS; i++) {
		list_init(&broker->by_id[i]);
		list_init(&broker->functions[i]);
	}
	*ret_broker = broker;
	return 0;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	message_done(&broker->request.reply);
	cleanup_close(&broker->socket.fd);
	cleanup_close(&broker->timer.fd);
	cleanup_close(&broker->wake_fd);
	pthread_cond_destroy(&broker->idle);
	free(broker);
}

static int watch(struct broker *broker, struct event_source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	if (*broker->epoll_fd < 0)
		return 0;
	return epoll_ctl(*broker->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

int broker_start(struct broker *broker)
{
	int r;

	if (broker->timer.fd >= 0)
		return 0;
	if (broker->wake_fd < 0)
		broker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (broker->wake_fd < 0)
		return context_fail(broker->context, -errno, "no descriptor to wait for p2pd: %s",
				    error_name(errno));
	broker->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = broker->timer.fd < 0 ? -errno : watch(broker, &broker->timer);
	if (!r)
		return 0;
	cleanup_close(&broker->timer.fd);
	broker->timer.fd = -1;
	return context_fail(broker->context, r, "no timer to wait for p2pd: %s", error_name(r));
}

void broker_wake(struct broker *broker)
{
	if (!broker->is_waiting || broker->is_woken)
		return;
	broker->is_woken = true;
	eventfd_write(broker->wake_fd, 1);
}

bool broker_is_wanted(const struct broker *broker)
{
	return !list_is_empty(&broker->leases) || !list_is_empty(&broker->publications) ||
	       broker->monitor;
}

/* When broker_tick() has something to do; 0: never. */
static uint64_t next_ns(const struct broker *broker)
{
	if (broker->state == BROKER_HELLO || broker->state == BROKER_RESTORING)
		return broker->deadline_ns;
	if (broker->state == BROKER_CLOSED && broker_is_wanted(broker))
		return broker->retry_ns ? broker->retry_ns : 1;
	return 0;
}

static void arm(struct broker *broker)
{
	uint64_t when = next_ns(broker);
	struct itimerspec at = {
		.it_value = clock_timespec(when),
	};

	if (broker->timer.fd >= 0)
		timerfd_settime(broker->timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static uint64_t back_off_ns(struct broker *broker)
{
	uint64_t now = clock_now_ns();
	uint64_t wait_ms = LAST_RETRY_MS;

	if (broker->failures < 7)
		wait_ms = FIRST_RETRY_MS << broker->failures;
	if (wait_ms > LAST_RETRY_MS)
		wait_ms = LAST_RETRY_MS;
	broker->failures++;
	/* Up to half as long again: thousands of clients lost the same daemon. */
	return now + wait_ms * NS_PER_MS + now / 1000 % 500 * wait_ms * NS_PER_MS / 1000;
}

void broker_break(struct broker *broker, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(broker->cause, sizeof(broker->cause), format, arguments);
	va_end(arguments);
	broker->error = error;
	broker->nr_breaks++;
	if (broker->socket.fd >= 0) {
		if (*broker->epoll_fd >= 0)
			epoll_ctl(*broker->epoll_fd, EPOLL_CTL_DEL, broker->socket.fd, NULL);
		close(broker->socket.fd);
		broker->socket.fd = -1;
	}
	if (broker->state == BROKER_UP)
		context_log(broker->context, P2PDMA_LOG_INFO, "lost p2pd: %s", broker->cause);
	broker->state = BROKER_CLOSED;
	if (broker->request.serial && !broker->request.is_answered)
		broker->request.is_lost = true;
	broker_lost_all(broker);
	broker->retry_ns = back_off_ns(broker);
	arm(broker);
	broker_wake(broker);
}

int broker_send(struct broker *broker, uint16_t opcode, const void *body, size_t body_bytes,
		int fd_to_send, uint32_t *ret_serial)
{
	struct wire_header header = {.opcode = opcode, .serial = broker->sent + 1};
	uint8_t packet[WIRE_MESSAGE_MAX];
	int r;

	if (body_bytes > sizeof(packet) - sizeof(header))
		return -EINVAL;
	header.size_bytes = (uint32_t)(sizeof(header) + body_bytes);
	memcpy(packet, &header, sizeof(header));
	if (body_bytes)
		memcpy(packet + sizeof(header), body, body_bytes);
	r = message_send(broker->socket.fd, packet, header.size_bytes, fd_to_send);
	/* Its socket lets no descriptor of ours in. Without one p2pd says why. */
	if (r == -EPERM && fd_to_send >= 0)
		r = message_send(broker->socket.fd, packet, header.size_bytes, -1);
	if (r == -ECONNRESET)
		broker_break(broker, r, "p2pd closed the connection");
	if (r)
		return r;
	broker->sent++;
	if (ret_serial)
		*ret_serial = header.serial;
	return 0;
}

static int connect_socket(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static void connect_failed(struct broker *broker, int error)
{
	if (error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR)
		broker_break(broker, -ECONNREFUSED, "p2pd isn't there: nobody answers at %s",
			     broker->path);
	else if (error == -EACCES || error == -EPERM)
		broker_break(broker, -EACCES,
			     "%s may not be opened by this user: see its permissions",
			     broker->path);
	else
		broker_break(broker, error, "can't connect to %s: %s", broker->path,
			     error_name(error));
}

static void broker_connect(struct broker *broker)
{
	struct wire_hello hello = {.version_min = WIRE_VERSION_MIN,
				   .version_max = WIRE_VERSION_MAX};
	int r;

	r = connect_socket(broker->path, &broker->socket.fd);
	if (!r)
		r = watch(broker, &broker->socket);
	if (r) {
		connect_failed(broker, r);
		return;
	}
	broker->state = BROKER_HELLO;
	broker->connection++;
	broker->sent = broker->answered = 0;
	broker->deadline_ns = clock_now_ns() + broker->timeout_ms * NS_PER_MS;
	wire_text_set(hello.program, sizeof(hello.program), program_invocation_short_name);
	if (!wire_text_is_sound(hello.program, sizeof(hello.program)))
		memset(hello.program, 0, sizeof(hello.program));
	r = broker_send(broker, WIRE_HELLO, &hello, sizeof(hello), -1, NULL);
	if (r && broker->state != BROKER_CLOSED)
		broker_break(broker, r, "can't greet p2pd: %s", error_name(r));
}

void broker_tick(struct broker *broker)
{
	uint64_t now = clock_now_ns();

	if (broker->state == BROKER_CLOSED && now >= broker->retry_ns)
		broker_connect(broker);
	else if (broker->state != BROKER_CLOSED && broker->state != BROKER_UP &&
		 now >= broker->deadline_ns)
		broker_break(broker, -ETIMEDOUT, "p2pd at %s didn't answer within %u ms",
			     broker->path, broker->timeout_ms);
	arm(broker);
}

static void take_hello(struct broker *broker, const struct message *message)
{
	struct wire_hello_reply reply;

	if (message->header.error) {
		broker_refused(broker, message);
		return;
	}
	if (wire_load(message, &reply, sizeof(reply), sizeof(reply), 0) ||
	    reply.version < WIRE_VERSION_MIN || reply.version > WIRE_VERSION_MAX) {
		broker_break(broker, -EPROTO, "p2pd's greeting makes no sense");
		return;
	}
	broker->flags = reply.flags;
	broker->state = BROKER_RESTORING;
	broker_restore(broker);
	arm(broker);
}

/* A slice for somebody who didn't wait for it. */
static void give_back(struct broker *broker, const struct message *reply)
{
	struct wire_lease lease;
	struct wire_lease_id id;

	if (reply->header.opcode != (WIRE_ACQUIRE | WIRE_REPLY) || reply->header.error ||
	    wire_load(reply, &lease, sizeof(lease), sizeof(lease), 0))
		return;
	id.lease_id = lease.id;
	broker_send(broker, WIRE_RELEASE, &id, sizeof(id), -1, NULL);
}

static bool is_sound(const struct broker *broker, const struct wire_header *header)
{
	if (!header->serial)
		return !header->error && !(header->opcode & WIRE_REPLY);
	return header->opcode & WIRE_REPLY && header->serial == broker->answered + 1 &&
	       header->serial <= broker->sent && header->error <= 0 &&
	       header->error >= -LARGEST_ERRNO;
}

static void take_reply(struct broker *broker, struct message *message)
{
	struct broker_request *request = &broker->request;

	broker->answered++;
	if (broker->state == BROKER_HELLO) {
		take_hello(broker, message);
	} else if (request->serial == message->header.serial && !request->is_lost) {
		request->is_answered = true;
		request->connection = broker->connection;
		message_done(&request->reply);
		memcpy(&request->reply, message,
		       offsetof(struct message, bytes) + message->size_bytes);
		message->fd = -1;
		broker_wake(broker);
	} else if (broker->state == BROKER_RESTORING &&
		   message->header.serial == broker->restoring_serial) {
		broker_restore_reply(broker, message);
	} else {
		give_back(broker, message);
	}
}

static void take_message(struct broker *broker, struct message *message)
{
	if (!is_sound(broker, &message->header) || (!message->header.serial && message->fd >= 0))
		broker_break(broker, -EPROTO, "p2pd's message makes no sense");
	else if (message->header.serial)
		take_reply(broker, message);
	else if (broker->monitor)
		broker_monitor_event(broker->monitor, message);
	else
		broker_lease_event(broker, message);
	message_done(message);
}

bool broker_read(struct broker *broker, unsigned int max)
{
	for (unsigned int i = 0; i < max && broker->socket.fd >= 0; i++) {
		int r = message_receive(broker->socket.fd, &broker->incoming);

		if (r == -EAGAIN)
			return false;
		if (!r)
			take_message(broker, &broker->incoming);
		else if (r == -ECONNRESET)
			broker_break(broker, r, "p2pd closed the connection");
		else if (r == -EPROTO)
			broker_break(broker, r, "what p2pd sent is no message");
		else
			broker_break(broker, r, "can't read from p2pd: %s", error_name(r));
	}
	return broker->socket.fd >= 0;
}
