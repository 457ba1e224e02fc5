// SPDX-License-Identifier: MIT
/*
 * PUBLISH and UNPUBLISH: a DMABUF of the peer's under a name.
 */
#include <errno.h>
#include <limits.h>

#include "common/cleanup.h"
#include "client/intake.h"
#include "report/log.h"
#include "provider/publication.h"
#include "request.h"

/* Who may not publish is told so, whatever came along. */
static int check_policy(struct request *request)
{
	const struct policy *policy = request->server->broker.policy;
	struct holder *holder = request->client->holder;
	struct room *room = &request->server->room;
	bool is_admin = policy_is_admin(policy, &holder->subject);
	int end_fd = is_admin ? INT_MAX : room->holder;
	struct policy_decision decision;
	int r;

	r = publication_check_name(request->body.publish.name, &request->cause);
	if (r)
		return r;
	r = holder_watch(request->server, holder, request->client->fd, end_fd);
	if (r == -EDQUOT)
		return room_check_fd(room, ROOM_PUBLICATION, end_fd, &request->cause);
	if (r)
		return cause_fail(&request->cause, r,
				  "the process that connected can't be watched");
	holder_learn_cgroup(holder, policy);
	policy_decide_publish(policy, &holder->subject, request->body.publish.name, &decision);
	if (decision.error)
		return cause_fail(&request->cause, decision.error, "%s", decision.because);
	if (request->message->fd == INTAKE_NO_DMABUF)
		return cause_fail(&request->cause, -EINVAL, "the descriptor is no DMABUF");
	return is_admin ?
		       0 :
		       room_check_fd(room, ROOM_PUBLICATION, request->message->fd, &request->cause);
}

void request_publish(struct request *request)
{
	const struct wire_publish *publish = &request->body.publish;
	struct wire_publish_reply reply;
	int r;

	if (!request_text_is_sound(request, publish->name, sizeof(publish->name)))
		return;
	if ((publish->mode != WIRE_MODE_EXCLUSIVE && publish->mode != WIRE_MODE_SHARED) ||
	    !(publish->access & WIRE_ACCESS_READ) ||
	    publish->access & ~(WIRE_ACCESS_READ | WIRE_ACCESS_WRITE)) {
		request_refuse(request, -EINVAL, "the mode or the access");
		return;
	}
	r = check_policy(request);
	if (!r)
		r = publication_new(request->client, publish, take_fd(&request->message->fd),
				    &reply, &request->cause);
	if (r) {
		request_failed(request, r);
		return;
	}
	log_client(request->client, P2PD_LOG_INFO, "publishes \"%s\"", publish->name);
	request_done(request, &reply);
}

void request_unpublish(struct request *request)
{
	int r = publication_end(request->client->holder, request->body.lease_id.lease_id);

	if (r) {
		request_refuse(request, r, "this connection published nothing of that id");
		return;
	}
	client_reply(request->client, &request->header, NULL, 0, -1);
}
