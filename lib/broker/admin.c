// SPDX-License-Identifier: MIT
/*
 * What administrators, and people who look, ask of p2pd: one request and one reply each.
 *
 * Arguments are checked, turned into the protocol's structures, and answers are turned back. p2pd
 * decides who may ask what. No state, no locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <p2pdma/broker.h>
#include <p2pdma/broker_watch.h>

#include "broker.h"
#include "context/options.h"

#define MAX_TEXT_BYTES (64U << 20)

int p2pdma_broker_query(struct p2pdma_context *context, struct p2pdma_broker_status *ret_status)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	struct wire_status_reply reply;
	int r;

	if (!context)
		return -EINVAL;
	if (options_check_output(ret_status, sizeof(*ret_status)))
		return context_fail(context, -EINVAL,
				    "the status to fill is NULL or has a wrong size");
	r = broker_call(context, WIRE_STATUS, NULL, 0, &reply, sizeof(reply));
	if (r)
		return r;
	if (!wire_text_is_sound(reply.version, sizeof(reply.version)))
		return broker_lied(context->broker, "its version is no text");
	pthread_mutex_lock(&context->lock);
	if (context->broker->flags & WIRE_HELLO_IS_ADMIN)
		status.flags |= P2PDMA_BROKER_IS_ADMIN;
	pthread_mutex_unlock(&context->lock);
	status.pid = reply.pid;
	status.nr_clients = reply.nr_clients;
	status.nr_leases = reply.nr_leases;
	status.nr_providers = reply.nr_providers;
	status.leased_bytes = reply.leased_bytes;
	status.started_ns = reply.started_ns;
	status.policy_generation = reply.policy_generation;
	status.policy_refused = reply.policy_refused;
	status.instance = reply.instance;
	memcpy(status.version, reply.version, sizeof(status.version));
	options_store(ret_status, &status, sizeof(status));
	return 0;
}

static int count_call(struct p2pdma_context *context, uint16_t opcode, const void *body,
		      size_t body_bytes, struct p2pdma_broker_count *ret_count)
{
	struct p2pdma_broker_count count = {.size_bytes = sizeof(count)};
	struct wire_revoke_reply reply;
	int r;

	r = broker_call(context, opcode, body, body_bytes, &reply, sizeof(reply));
	if (r)
		return r;
	count.nr_leases = reply.nr_leases;
	count.nr_busy = reply.nr_busy;
	if (ret_count)
		options_store(ret_count, &count, sizeof(count));
	return 0;
}

static int check_count(const struct p2pdma_context *context,
		       const struct p2pdma_broker_count *count)
{
	if (count && options_check_output(count, sizeof(*count)))
		return context_fail(context, -EINVAL, "the count to fill has a wrong size");
	return 0;
}

int p2pdma_broker_revoke(struct p2pdma_context *context,
			 const struct p2pdma_broker_revocation *revocation,
			 struct p2pdma_broker_count *ret_count)
{
	struct p2pdma_broker_revocation known;
	struct wire_revoke wire = {.scope = 0};
	int r;

	if (!context)
		return -EINVAL;
	if (!revocation)
		return context_fail(context, -EINVAL, "nothing says what to revoke");
	r = options_load(&known, sizeof(known), sizeof(known), revocation);
	if (r)
		return context_fail(context, r, "the revocation has a wrong size");
	r = check_count(context, ret_count);
	if (r)
		return r;
	if (known.flags & ~P2PDMA_REVOKE_FUNCTION)
		return context_fail(context, -EINVAL, "unknown revoke flags 0x%" PRIx32,
				    known.flags);
	if (known.scope < P2PDMA_BROKER_SCOPE_LEASE || known.scope > P2PDMA_BROKER_SCOPE_ALL)
		return context_fail(context, -EINVAL, "unknown revoke scope %" PRIu32, known.scope);
	if (known.scope == P2PDMA_BROKER_SCOPE_PROVIDER && !known.selector)
		return context_fail(context, -EINVAL, "no selector says whose leases");
	wire.scope = known.scope;
	wire.flags = known.flags & P2PDMA_REVOKE_FUNCTION ? WIRE_REVOKE_FUNCTION : 0;
	wire.deadline_ms = known.deadline_ms;
	if (known.scope == P2PDMA_BROKER_SCOPE_LEASE)
		wire.lease_id = known.lease_id;
	if (known.scope == P2PDMA_BROKER_SCOPE_UID)
		wire.uid = known.uid;
	if (known.scope == P2PDMA_BROKER_SCOPE_PROVIDER)
		r = broker_set_text(context, wire.selector, sizeof(wire.selector), known.selector,
				    "selector");
	return r ? r : count_call(context, WIRE_REVOKE, &wire, sizeof(wire), ret_count);
}

int p2pdma_broker_drain(struct p2pdma_context *context, const char *selector, int is_on,
			uint64_t deadline_ms, struct p2pdma_broker_count *ret_count)
{
	struct wire_drain wire = {.is_on = is_on ? 1 : 0, .deadline_ms = deadline_ms};
	int r;

	if (!context)
		return -EINVAL;
	if (!selector)
		return context_fail(context, -EINVAL, "no selector says what to drain");
	r = check_count(context, ret_count);
	if (!r)
		r = broker_set_text(context, wire.selector, sizeof(wire.selector), selector,
				    "selector");
	return r ? r : count_call(context, WIRE_DRAIN, &wire, sizeof(wire), ret_count);
}

/* What is sent: groups only where there are any, so that an older p2pd understands it. */
struct policy_test {
	struct wire_policy_test wire;
	uint32_t groups[WIRE_POLICY_TEST_GROUPS_MAX];
};

static int load_question(struct p2pdma_context *context,
			 const struct p2pdma_policy_question *question, struct policy_test *ret)
{
	struct wire_policy_test *wire = &ret->wire;
	struct p2pdma_policy_question known;
	char name[WIRE_SELECTOR_SIZE];
	int r;

	r = options_load(&known, sizeof(known), sizeof(known), question);
	if (r)
		return context_fail(context, r, "the question has a wrong size");
	if (!known.selector == !known.publish || (known.nr_groups && !known.groups))
		return context_fail(context, -EINVAL,
				    "a policy test needs one provider, or one name to publish");
	if (known.nr_groups > WIRE_POLICY_TEST_GROUPS_MAX)
		return context_fail(context, -E2BIG,
				    "a request holds %zu groups, and the user has %" PRIu32,
				    WIRE_POLICY_TEST_GROUPS_MAX, known.nr_groups);
	*wire = (struct wire_policy_test){
		.uid = known.uid,
		.gid = known.gid,
		.mode = known.mode,
		.access = broker_access(known.flags),
		.flags = broker_acquire_flags(known.flags),
		.length_bytes = known.length_bytes,
		.ttl_ms = known.ttl_ms,
		.nr_groups = known.nr_groups,
		.groups_at = known.nr_groups ? (uint32_t)offsetof(struct policy_test, groups) : 0,
	};
	if (known.nr_groups)
		memcpy(ret->groups, known.groups, known.nr_groups * sizeof(*known.groups));
	if (known.publish) {
		wire->flags |= WIRE_POLICY_TEST_PUBLISH;
		if (snprintf(name, sizeof(name), "published:%s", known.publish) >=
		    (int)sizeof(name))
			return context_fail(context, -EINVAL, "the name to publish is too long");
		known.selector = name;
	}
	r = broker_set_text(context, wire->selector, sizeof(wire->selector), known.selector,
			    "selector");
	return r ? r : broker_set_text(context, wire->unit, sizeof(wire->unit), known.unit, "unit");
}

int p2pdma_policy_test(struct p2pdma_context *context,
		       const struct p2pdma_policy_question *question,
		       struct p2pdma_policy_answer *ret_answer)
{
	struct p2pdma_policy_answer answer = {.size_bytes = sizeof(answer)};
	struct wire_policy_test_reply reply;
	struct policy_test test;
	size_t size_bytes;
	int r;

	if (!context)
		return -EINVAL;
	if (!question || options_check_output(ret_answer, sizeof(*ret_answer)))
		return context_fail(context, -EINVAL, "no question, or no place for the answer");
	r = load_question(context, question, &test);
	if (r)
		return r;
	size_bytes = test.wire.nr_groups ? offsetof(struct policy_test, groups) +
						   test.wire.nr_groups * sizeof(uint32_t) :
					   WIRE_POLICY_TEST_FIRST_BYTES;
	r = broker_call(context, WIRE_POLICY_TEST, &test, size_bytes, &reply, sizeof(reply));
	if (r)
		return r;
	if (reply.error > 0 || !wire_text_is_sound(reply.rule, sizeof(reply.rule)) ||
	    !wire_text_is_sound(reply.source, sizeof(reply.source)) ||
	    !wire_text_is_sound(reply.because, sizeof(reply.because)))
		return broker_lied(context->broker, "its rule is no text");
	answer.error = reply.error;
	memcpy(answer.rule, reply.rule, sizeof(answer.rule));
	memcpy(answer.source, reply.source, sizeof(answer.source));
	memcpy(answer.because, reply.because, sizeof(answer.because));
	options_store(ret_answer, &answer, sizeof(answer));
	return 0;
}

/* The file may shrink or hold less than it was said to: what can be read is the text. */
static int read_text(struct p2pdma_context *context, int fd, uint64_t size_bytes, char **ret_text)
{
	struct stat status;
	size_t done = 0;
	char *text;

	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || size_bytes > MAX_TEXT_BYTES ||
	    (uint64_t)status.st_size < size_bytes)
		return broker_lied(context->broker, "the text isn't in its file");
	text = malloc(size_bytes + 1);
	if (!text)
		return context_fail(context, -ENOMEM, "no memory for p2pd's text");
	while (done < size_bytes) {
		ssize_t n = pread(fd, text + done, size_bytes - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	text[done] = '\0';
	*ret_text = text;
	return 0;
}

int p2pdma_broker_text(struct p2pdma_context *context, uint32_t what, char **ret_text)
{
	struct wire_header header = {.opcode = WIRE_STATS, .size_bytes = sizeof(struct wire_stats)};
	struct wire_stats wire = {.what = what};
	struct wire_stats_reply body;
	struct message reply;
	struct broker *broker;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_text || what > P2PDMA_BROKER_DUMP)
		return context_fail(context, -EINVAL,
				    "unknown text %" PRIu32 ", or no place for it", what);
	r = broker_of(context, &broker);
	if (!r)
		r = broker_ask(broker, &header, &wire, -1, &reply);
	if (r)
		return r;
	if (reply.fd < 0 || wire_load(&reply, &body, sizeof(body), sizeof(body), 0))
		r = broker_lied(broker, "a text without its file");
	else
		r = read_text(context, reply.fd, body.size_bytes, ret_text);
	broker_answered(broker, &reply);
	return r;
}
