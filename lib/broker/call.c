// SPDX-License-Identifier: MIT
/*
 * Asking p2pd and waiting for the answer.
 *
 * Requests of different threads follow each other: from broker_ask() to broker_end() a thread owns
 * the one struct broker_request. context->lock is only held between waits, which are
 * polls of the socket and of an eventfd: any thread, such as one in p2pdma_next_event(), may be the
 * one that reads the reply, and it then wakes the caller.
 *
 * A connection that breaks under a request is made again and the request repeated, within the
 * caller's time: p2pd may have seen it, so every request is one that may be repeated (ACQUIRE
 * says a nonce, by which p2pd knows what it granted already). Only where nobody was ever there
 * the answer comes at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "broker.h"
#include "common/clock.h"

#define MAX_RESENT    4
#define READS_AT_ONCE 64

/* One call's progress. */
struct attempt {
	uint64_t deadline_ns;
	const struct wire_header *header;
	const void *body;
	int fd;
	int nr_sent;
	uint32_t nr_breaks; /* the broker's, when it began */
	bool is_full;	    /* the socket takes no more now */
};

int broker_of(struct p2pdma_context *context, struct broker **ret_broker)
{
	if (!context->broker)
		return context_fail(context, -EOPNOTSUPP,
				    "this context is P2PDMA_CONTEXT_DIRECT: it never asks p2pd");
	*ret_broker = context->broker;
	return 0;
}

/* Whose request it is: -ETIMEDOUT when others take too long. */
static int begin(struct broker *broker, uint64_t *ret_deadline_ns)
{
	uint64_t deadline = clock_now_ns() + broker->timeout_ms * NS_PER_MS;
	struct timespec until = clock_timespec(deadline);
	int r = 0;

	pthread_mutex_lock(&broker->context->lock);
	while (broker->is_called && !r)
		r = pthread_cond_timedwait(&broker->idle, &broker->context->lock, &until);
	if (!broker->is_called)
		r = 0;
	if (!r)
		broker->is_called = true;
	pthread_mutex_unlock(&broker->context->lock);
	if (r)
		return context_fail(broker->context, -ETIMEDOUT,
				    "other threads' requests to p2pd took longer than %" PRIu32
				    " ms",
				    broker->timeout_ms);
	*ret_deadline_ns = deadline;
	return 0;
}

void broker_end(struct broker *broker)
{
	pthread_mutex_lock(&broker->context->lock);
	message_done(&broker->request.reply);
	broker->request.serial = 0;
	memset(&broker->early, 0, sizeof(broker->early));
	broker->is_called = false;
	pthread_cond_signal(&broker->idle);
	pthread_mutex_unlock(&broker->context->lock);
}

/* Under context->lock. 1: go on waiting. */
static int send_request(struct broker *broker, struct attempt *attempt)
{
	struct broker_request *request = &broker->request;
	int r;

	if (!attempt->header->opcode)
		return 0;
	if (attempt->nr_sent > MAX_RESENT)
		return context_fail(broker->context, -ECONNRESET,
				    "p2pd closes the connection when this is asked");
	attempt->is_full = false;
	r = broker_send(broker, attempt->header->opcode, attempt->body, attempt->header->size_bytes,
			attempt->fd, &request->serial);
	if (r == -EAGAIN) {
		attempt->is_full = true;
		return 1;
	}
	/* The connection went: the next look sees that. */
	if (r == -ECONNRESET)
		return 1;
	if (r)
		return context_fail(broker->context, r, "can't send to p2pd: %s", error_name(r));
	attempt->nr_sent++;
	request->opcode = attempt->header->opcode;
	request->is_answered = request->is_lost = false;
	return 1;
}

/* Under context->lock, without a connection. 1: wait for one. */
static int check_closed(struct broker *broker, const struct attempt *attempt)
{
	bool is_passing = broker->error == -ECONNRESET || broker->error == -EAGAIN ||
			  broker->error == -EBUSY ||
			  (broker->error == -ECONNREFUSED && broker->is_established);

	if (broker->request.is_lost)
		broker->request.serial = 0;
	/* An error from before this call is nothing that it was told. */
	if (is_passing || broker->nr_breaks == attempt->nr_breaks)
		return 1;
	return context_fail(broker->context, broker->error, "%s", broker->cause);
}

/* Under context->lock. What is behind the reply isn't this call's business. */
static void read_reply(struct broker *broker)
{
	const struct broker_request *request = &broker->request;
	eventfd_t ignored;

	if (broker->is_woken)
		eventfd_read(broker->wake_fd, &ignored);
	broker->is_woken = false;
	for (int i = 0; i < READS_AT_ONCE; i++) {
		if ((request->serial && request->is_answered) || !broker_read(broker, 1))
			return;
	}
}

/* Under context->lock. 0: done. 1: wait. */
static int look(struct broker *broker, struct attempt *attempt)
{
	struct broker_request *request = &broker->request;
	int r;

	/* Nothing on a good connection can be for a request that isn't sent: no call for that. */
	if (request->serial || attempt->is_full || broker->state != BROKER_UP)
		read_reply(broker);
	if (request->serial && request->is_answered)
		return 0;
	for (int i = 0; i < 2 && broker->state != BROKER_UP; i++) {
		r = broker->state == BROKER_CLOSED ? check_closed(broker, attempt) : 1;
		if (r <= 0)
			return r;
		if (!i)
			broker_tick(broker);
	}
	if (broker->state == BROKER_UP && (!request->serial || request->is_lost)) {
		request->serial = 0;
		return send_request(broker, attempt);
	}
	return 1;
}

/* Under context->lock: what to poll for, and until when. */
static int prepare(const struct broker *broker, const struct attempt *attempt, uint64_t now,
		   struct pollfd fds[2])
{
	uint64_t until = attempt->deadline_ns;

	fds[0] = (struct pollfd){.fd = broker->wake_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = broker->socket.fd, .events = POLLIN};
	if (attempt->is_full)
		fds[1].events |= POLLOUT;
	if (broker->state == BROKER_CLOSED && broker->retry_ns < until)
		until = broker->retry_ns;
	else if (broker->state != BROKER_CLOSED && broker->state != BROKER_UP &&
		 broker->deadline_ns < until)
		until = broker->deadline_ns;
	return until <= now ? 0 : (int)((until - now + NS_PER_MS - 1) / NS_PER_MS);
}

static int timed_out(struct broker *broker)
{
	if (broker->state == BROKER_UP)
		return context_fail(broker->context, -ETIMEDOUT,
				    "p2pd at %s didn't answer within %" PRIu32 " ms", broker->path,
				    broker->timeout_ms);
	return context_fail(broker->context, -ETIMEDOUT, "no connection within %" PRIu32 " ms: %s",
			    broker->timeout_ms, broker->cause);
}

/* Until there is a reply; without an opcode only until there is a connection. */
static int wait_for(struct broker *broker, struct attempt *attempt, struct message *ret_reply)
{
	struct p2pdma_context *context = broker->context;
	struct broker_request *request = &broker->request;
	int r;

	pthread_mutex_lock(&context->lock);
	request->serial = 0;
	request->is_answered = request->is_lost = false;
	attempt->nr_breaks = broker->nr_breaks;
	r = broker_start(broker);
	/* A caller doesn't wait for the back-off of earlier failures, unless leases do too. */
	if (broker->state == BROKER_CLOSED && !broker_is_wanted(broker))
		broker->retry_ns = 0;
	while (!r && (r = look(broker, attempt)) == 1) {
		uint64_t now = clock_now_ns();
		struct pollfd fds[2];
		int wait_ms;

		if (now >= attempt->deadline_ns) {
			r = timed_out(broker);
			break;
		}
		wait_ms = prepare(broker, attempt, now, fds);
		broker->is_waiting = true;
		pthread_mutex_unlock(&context->lock);
		poll(fds, 2, wait_ms);
		pthread_mutex_lock(&context->lock);
		broker->is_waiting = false;
		r = 0;
	}
	if (!r && attempt->header->opcode) {
		memcpy(ret_reply, &request->reply,
		       offsetof(struct message, bytes) + request->reply.size_bytes);
		request->reply.fd = -1;
	}
	/* Nobody waits any more: a reply that comes late is dropped. */
	if (r)
		request->serial = 0;
	pthread_mutex_unlock(&context->lock);
	return r;
}

int broker_lied(struct broker *broker, const char *what)
{
	pthread_mutex_lock(&broker->context->lock);
	broker_break(broker, -EPROTO, "p2pd's answer makes no sense: %s", what);
	pthread_mutex_unlock(&broker->context->lock);
	return context_fail(broker->context, -EPROTO, "p2pd's answer makes no sense: %s", what);
}

/* What p2pd answered, a -errno, with the sentence that it gave. */
static int refused(const struct p2pdma_context *context, const struct message *reply)
{
	int error = reply->header.error;
	struct wire_failure failure;

	if (wire_load(reply, &failure, sizeof(failure), sizeof(failure), 0) ||
	    !wire_text_is_sound(failure.cause, sizeof(failure.cause)) || !failure.cause[0])
		return context_fail(context, error, "p2pd says %s", error_name(error));
	return context_fail(context, error, "%s", failure.cause);
}

/* Between begin() and broker_end(). */
static int request(struct broker *broker, struct attempt *attempt, struct message *ret_reply)
{
	int r;

	r = wait_for(broker, attempt, ret_reply);
	if (r || !attempt->header->opcode)
		return r;
	if (ret_reply->header.opcode != (attempt->header->opcode | WIRE_REPLY))
		return broker_lied(broker, "it is to another question");
	if (ret_reply->header.error && ret_reply->fd >= 0)
		return broker_lied(broker, "a descriptor came with a refusal");
	return ret_reply->header.error ? refused(broker->context, ret_reply) : 0;
}

int broker_ask(struct broker *broker, const struct wire_header *header, const void *body,
	       int fd_to_send, struct message *ret_reply)
{
	struct attempt attempt = {.header = header, .body = body, .fd = fd_to_send};
	int r;

	ret_reply->fd = -1;
	r = begin(broker, &attempt.deadline_ns);
	if (r)
		return r;
	r = request(broker, &attempt, ret_reply);
	if (r)
		broker_answered(broker, ret_reply);
	return r;
}

int broker_load(struct broker *broker, const struct message *reply, void *ret_body,
		size_t known_bytes)
{
	if (reply->fd >= 0)
		return broker_lied(broker, "a descriptor came with it");
	if (known_bytes && wire_load(reply, ret_body, known_bytes, known_bytes, 0))
		return broker_lied(broker, "it is too short");
	return 0;
}

void broker_answered(struct broker *broker, struct message *reply)
{
	message_done(reply);
	broker_end(broker);
}

int broker_wait_up(struct broker *broker)
{
	static const struct wire_header none = {.opcode = 0};
	struct attempt attempt = {.header = &none, .fd = -1};
	int r;

	r = begin(broker, &attempt.deadline_ns);
	if (r)
		return r;
	r = request(broker, &attempt, NULL);
	broker_end(broker);
	return r;
}

int broker_call(struct p2pdma_context *context, uint16_t opcode, const void *body,
		size_t body_bytes, void *ret_body, size_t known_bytes)
{
	struct wire_header header = {.opcode = opcode, .size_bytes = (uint32_t)body_bytes};
	struct message reply;
	struct broker *broker;
	int r;

	r = broker_of(context, &broker);
	if (!r)
		r = broker_ask(broker, &header, body, -1, &reply);
	if (r)
		return r;
	r = broker_load(broker, &reply, ret_body, known_bytes);
	broker_answered(broker, &reply);
	return r;
}

int broker_is_there(struct p2pdma_context *context)
{
	int r;

	if (!context->broker)
		return 0;
	r = broker_wait_up(context->broker);
	/* Only said where nobody was ever there. */
	if (r == -ECONNREFUSED)
		return 0;
	return r ? r : 1;
}
