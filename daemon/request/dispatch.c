// SPDX-License-Identifier: MIT
/*
 * The table of requests: how long each is, whether a descriptor may come with it, who may
 * make it, and what handles it.
 *
 * A handler gets a body of the size that it knows, zero where the peer said nothing,
 * and answers exactly once. What can be refused without looking at the body is refused here.
 */
#include <errno.h>
#include <string.h>

#include "client/client.h"
#include "report/log.h"
#include "request.h"

enum privilege {
	STRANGER, /* before HELLO */
	ANYBODY,
	ADMIN,
};

struct request_type {
	const char *name;
	uint32_t known_bytes; /* of the body as we know it */
	uint32_t first_bytes; /* as first published */
	bool has_tail;	      /* an array follows the body, and the handler checks it */
	uint8_t nr_fds;
	uint8_t privilege;
	void (*handle)(struct request *request);
};

#define BODY(type) sizeof(type), sizeof(type)

static const struct request_type types[] = {
	[WIRE_HELLO] = {"HELLO", BODY(struct wire_hello), false, 0, STRANGER, request_hello},
	[WIRE_PROVIDERS] = {"PROVIDERS", BODY(struct wire_list), false, 0, ANYBODY,
			    request_providers},
	[WIRE_ACQUIRE] = {"ACQUIRE", BODY(struct wire_acquire), true, 0, ANYBODY, request_acquire},
	[WIRE_ATTACH] = {"ATTACH", BODY(struct wire_attach), false, 0, ANYBODY, request_attach},
	[WIRE_RELEASE] = {"RELEASE", BODY(struct wire_lease_id), false, 0, ANYBODY,
			  request_release},
	[WIRE_RENEW] = {"RENEW", BODY(struct wire_renew), false, 0, ANYBODY, request_renew},
	[WIRE_ACK] = {"ACK", BODY(struct wire_lease_id), false, 0, ANYBODY, request_ack},
	[WIRE_LEASES] = {"LEASES", BODY(struct wire_list), false, 0, ANYBODY, request_leases},
	[WIRE_REVOKE] = {"REVOKE", BODY(struct wire_revoke), false, 0, ADMIN, request_revoke},
	[WIRE_DRAIN] = {"DRAIN", BODY(struct wire_drain), false, 0, ADMIN, request_drain},
	[WIRE_MONITOR] = {"MONITOR", BODY(struct wire_monitor), false, 0, ANYBODY, request_monitor},
	[WIRE_STATS] = {"STATS", BODY(struct wire_stats), false, 0, ANYBODY, request_stats},
	[WIRE_POLICY_TEST] = {"POLICY_TEST", sizeof(struct wire_policy_test),
			      WIRE_POLICY_TEST_FIRST_BYTES, true, 0, ANYBODY, request_policy_test},
	[WIRE_PUBLISH] = {"PUBLISH", BODY(struct wire_publish), false, 1, ANYBODY, request_publish},
	[WIRE_UNPUBLISH] = {"UNPUBLISH", BODY(struct wire_lease_id), false, 0, ANYBODY,
			    request_unpublish},
	[WIRE_STATUS] = {"STATUS", 0, 0, false, 0, ANYBODY, request_status},
};

static const struct request_type *type_of(uint16_t opcode)
{
	if (opcode >= sizeof(types) / sizeof(types[0]) || !types[opcode].handle)
		return NULL;
	return &types[opcode];
}

bool dispatch_takes_fd(uint16_t opcode)
{
	const struct request_type *type = type_of(opcode);

	return type && type->nr_fds;
}

void dispatch(struct client *client, struct message *message)
{
	struct request request = {
		.client = client,
		.server = client->server,
		.header = message->header,
		.message = message,
	};
	const struct request_type *type = type_of(message->header.opcode);
	bool is_strict;
	int r;

	if (!message->header.serial || message->header.error) {
		client_doom(client, "what it sent is no request");
		return;
	}
	if (!client->is_greeted && (!type || type->privilege != STRANGER)) {
		client_doom(client, "it didn't begin with HELLO");
		return;
	}
	if (message->fd >= 0 && (!type || !type->nr_fds)) {
		client_doom(client, "a descriptor came with a request that takes none");
		return;
	}
	if (!type) {
		client_fail(client, &request.header, -ENOTTY,
			    "this p2pd doesn't know the request: it is older than its client");
		return;
	}
	if (type->privilege == ADMIN &&
	    !policy_is_admin(client->server->broker.policy, &client->holder->subject)) {
		log_client(client, P2PD_LOG_WARNING, "%s refused: no administrator", type->name);
		client_fail(client, &request.header, -EPERM,
			    "only root and the administrators' group may do that");
		return;
	}
	is_strict = !type->has_tail;
	r = wire_load(message, &request.body, type->known_bytes, type->first_bytes, is_strict);
	if (r) {
		client_fail(client, &request.header, r,
			    r == -E2BIG ? "the request uses a field that this p2pd doesn't know" :
					  "the request is too short");
		return;
	}
	type->handle(&request);
}
