// SPDX-License-Identifier: MIT
/*
 * Requests of those who hold leases, or want one.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "deferred.h"
#include "provider/importer.h"
#include "report/log.h"
#include "request.h"

static int check_fields(const struct wire_acquire *acquire, struct cause *cause)
{
	if (acquire->mode != WIRE_MODE_EXCLUSIVE && acquire->mode != WIRE_MODE_SHARED)
		return cause_fail(cause, -EINVAL, "the mode is neither exclusive nor shared");
	if (!(acquire->access & WIRE_ACCESS_READ) ||
	    acquire->access & ~(WIRE_ACCESS_READ | WIRE_ACCESS_WRITE))
		return cause_fail(cause, -EINVAL, "the access is neither read nor read and write");
	if (acquire->flags & ~(WIRE_ACQUIRE_MMAP_WC | WIRE_ACQUIRE_ALLOW_UNREVOCABLE))
		return cause_fail(cause, -EINVAL, "unknown flags %#" PRIx32, acquire->flags);
	if (acquire->reserved)
		return cause_fail(cause, -EINVAL, "a reserved field is set");
	if (acquire->nr_ranges && (acquire->length_bytes || acquire->align_bytes))
		return cause_fail(cause, -EINVAL, "either ranges or a length, not both");
	return 0;
}

static int check_sizes(const struct wire_acquire *acquire, const struct wire_range *ranges,
		       struct cause *cause)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (uint32_t i = 0; i < acquire->nr_ranges; i++)
		if (!ranges[i].length_bytes || ranges[i].length_bytes % page ||
		    ranges[i].offset_bytes % page)
			return cause_fail(cause, -EINVAL,
					  "range %" PRIu32 " isn't made of pages of %" PRIu64, i,
					  page);
	if (acquire->nr_ranges)
		return 0;
	if (!acquire->length_bytes || acquire->length_bytes % page)
		return cause_fail(cause, -EINVAL,
				  "a length of %" PRIu64 " isn't a number of pages of %" PRIu64,
				  acquire->length_bytes, page);
	if (acquire->align_bytes & (acquire->align_bytes - 1))
		return cause_fail(cause, -EINVAL, "an alignment of %" PRIu64 " is no power of two",
				  acquire->align_bytes);
	return 0;
}

/*
 * The ranges behind the body, which may be longer than we know it; nothing may follow them.
 * Once it has grown, one that is shorter has ranges where its end is now: they aren't fields.
 */
static int load_ranges(struct request *request, struct wire_range *ret_ranges)
{
	const struct wire_acquire *acquire = &request->body.acquire;
	const uint8_t *body = request->message->bytes + sizeof(struct wire_header);
	size_t body_bytes = request->message->size_bytes - sizeof(struct wire_header);
	size_t ranges_bytes, at = acquire->ranges_at;

	if (acquire->nr_ranges > WIRE_RANGES_MAX)
		return cause_fail(&request->cause, -EINVAL, "more than %d ranges", WIRE_RANGES_MAX);
	ranges_bytes = acquire->nr_ranges * sizeof(*ret_ranges);
	if (!acquire->nr_ranges && !at)
		at = body_bytes;
	else if (!acquire->nr_ranges || at < sizeof(*acquire) || at % 8 ||
		 body_bytes != at + ranges_bytes)
		return cause_fail(&request->cause, -EINVAL,
				  "the request doesn't hold %" PRIu32 " ranges at %" PRIu32,
				  acquire->nr_ranges, acquire->ranges_at);
	for (size_t i = sizeof(*acquire); i < at; i++)
		if (body[i])
			return cause_fail(&request->cause, -E2BIG,
					  "the request uses a field that this p2pd doesn't know");
	memcpy(ret_ranges, body + at, ranges_bytes);
	return 0;
}

/*
 * Whoever gets a lease is watched from before until after. For one that is there already there is
 * more room.
 */
static int watch_holder(struct request *request, enum room_kind kind)
{
	struct room *room = &request->server->room;
	struct holder *holder = request->client->holder;
	bool is_admin = policy_is_admin(request->server->broker.policy, &holder->subject);
	int end_fd = is_admin ? INT_MAX : kind == ROOM_TAKEN_UP ? room->taken_up : room->holder;
	int r = holder_watch(request->server, holder, request->client->fd, end_fd);

	if (r == -EDQUOT)
		return room_check_fd(room, kind, end_fd, &request->cause);
	if (r)
		return cause_fail(&request->cause, r, "the process that connected %s",
				  r == -ESRCH ? "has ended" : "can't be watched now");
	holder_learn_cgroup(holder, request->server->broker.policy);
	return 0;
}

static int acquire(struct request *request, struct lease **ret_lease, int *ret_fd)
{
	struct wire_acquire *wire = &request->body.acquire;
	struct wire_range ranges[WIRE_RANGES_MAX];
	struct pci_address importer;
	struct acquire_request asked = {
		.wire = wire,
		.ranges = ranges,
		.holder = request->client->holder,
	};
	struct cause *cause = &request->cause;
	int r;

	r = load_ranges(request, ranges);
	if (!r)
		r = check_fields(wire, cause);
	if (!r)
		r = check_sizes(wire, ranges, cause);
	if (!r && *wire->importer) {
		r = importer_find(wire->importer, &importer, cause);
		asked.importer = &importer;
	}
	if (!r)
		r = watch_holder(request, ROOM_HOLDER);
	if (r)
		return r;
	if (!wire->align_bytes)
		wire->align_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	asked.subject = request->client->holder->subject;
	r = client_may_get_fd(request->client, ROOM_UNREAD, cause);
	if (r)
		return r;
	r = broker_acquire(&request->server->broker, &asked, ret_lease, ret_fd, cause);
	if (r)
		client_fd_unneeded(request->client);
	return r;
}

void request_acquire(struct request *request)
{
	const struct wire_acquire *wire = &request->body.acquire;
	struct wire_lease reply;
	struct lease *lease;
	int fd, r;

	if (request_waits_for_journal(request) ||
	    !request_text_is_sound(request, wire->selector, sizeof(wire->selector)) ||
	    !request_text_is_sound(request, wire->importer, sizeof(wire->importer)) ||
	    !request_text_is_sound(request, wire->label, sizeof(wire->label)))
		return;
	r = acquire(request, &lease, &fd);
	if (r == -EINPROGRESS) {
		request_defer(request);
		return;
	}
	if (r) {
		request_failed(request, r);
		return;
	}
	request_fill_lease(&reply, lease, true);
	client_reply(request->client, &request->header, &reply, sizeof(reply), fd);
}

/*
 * Who only guesses at leases isn't watched, which would take a descriptor for as long as it is
 * connected.
 */
static bool is_dead(struct request *request)
{
	return holder_watch(request->server, request->client->holder, request->client->fd, 0) ==
	       -ESRCH;
}

void request_attach(struct request *request)
{
	struct wire_lease reply;
	struct lease *lease;
	int r;

	r = broker_attach_check(&request->server->broker, request->client->holder,
				&request->body.attach, &lease, &request->cause);
	if (!r)
		r = watch_holder(request, ROOM_TAKEN_UP);
	else if (is_dead(request))
		r = cause_fail(&request->cause, -ESRCH, "the process that connected has ended");
	if (!r)
		r = broker_attach(&request->server->broker, request->client->holder,
				  &request->body.attach, &lease, &request->cause);
	if (r) {
		request_failed(request, r);
		return;
	}
	request_fill_lease(&reply, lease, true);
	request_done(request, &reply);
	/* What was asked of it while it was away. */
	if (lease->state == WIRE_LEASE_REVOKING)
		request->server->broker.ops->tell_requested(request->server, lease);
}

/* The lease of the body, if the peer has it; else it has been answered. */
static struct lease *own_lease(struct request *request, uint64_t id)
{
	struct lease *lease;
	int r;

	r = broker_lease_of(&request->server->broker, request->client->holder, id, &lease,
			    &request->cause);
	if (!r)
		return lease;
	request_failed(request, r);
	return NULL;
}

void request_release(struct request *request)
{
	struct lease *lease = own_lease(request, request->body.lease_id.lease_id);

	if (!lease)
		return;
	broker_release(&request->server->broker, lease);
	client_reply(request->client, &request->header, NULL, 0, -1);
}

void request_ack(struct request *request)
{
	struct lease *lease = own_lease(request, request->body.lease_id.lease_id);

	if (!lease)
		return;
	broker_ack(&request->server->broker, lease);
	client_reply(request->client, &request->header, NULL, 0, -1);
}

void request_renew(struct request *request)
{
	struct lease *lease = own_lease(request, request->body.renew.lease_id);
	struct wire_renew_reply reply;
	int r;

	if (!lease)
		return;
	r = broker_renew(&request->server->broker, lease, &request->client->holder->subject,
			 request->body.renew.ttl_ms, &request->cause);
	if (r) {
		request_failed(request, r);
		return;
	}
	reply.expires_ns = lease->expires_ns;
	request_done(request, &reply);
}
