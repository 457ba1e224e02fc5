// SPDX-License-Identifier: MIT
/*
 * Requests about the connection and the daemon as a whole: HELLO, STATUS, MONITOR, STATS.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include <p2pdma/version.h>

#include "client/intake.h"
#include "report/log.h"
#include "request.h"
#include "report/stats.h"

bool request_text_is_sound(struct request *request, const char *text, size_t size_bytes)
{
	if (wire_text_is_sound(text, size_bytes))
		return true;
	request_refuse(request, -EINVAL,
		       "a text of the request isn't ended, or has characters that no text has");
	return false;
}

bool request_selector(struct request *request, const char *text, struct selector *ret_selector)
{
	if (!request_text_is_sound(request, text, WIRE_SELECTOR_SIZE))
		return false;
	if (!selector_parse(*text ? text : "*", ret_selector))
		return true;
	request_refuse(request, -EINVAL, "\"%s\" selects nothing: see p2pd(8)", text);
	return false;
}

void request_hello(struct request *request)
{
	struct client *client = request->client;
	const struct wire_hello *hello = &request->body.hello;
	const struct broker *broker = &request->server->broker;
	struct log_text program;
	struct wire_hello_reply reply = {
		.message_max = WIRE_MESSAGE_MAX,
		.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
		.instance = journal_instance(broker->journal),
	};

	if (!request_text_is_sound(request, hello->program, sizeof(hello->program)))
		return;
	if (hello->version_min > WIRE_VERSION_MAX || hello->version_max < WIRE_VERSION_MIN ||
	    hello->version_min > hello->version_max) {
		request_refuse(request, -EPROTONOSUPPORT,
			       "the client speaks versions %" PRIu32 " to %" PRIu32
			       " of the protocol, this p2pd %d to %d",
			       hello->version_min, hello->version_max, WIRE_VERSION_MIN,
			       WIRE_VERSION_MAX);
		return;
	}
	reply.version =
		hello->version_max < WIRE_VERSION_MAX ? hello->version_max : WIRE_VERSION_MAX;
	if (policy_is_admin(broker->policy, &client->holder->subject))
		reply.flags |= WIRE_HELLO_IS_ADMIN;
	if (!client->is_greeted) {
		client->is_greeted = true;
		intake_admit(client);
		if (list_is_empty(&client->queue))
			deadlines_clear(&request->server->client_deadlines, &client->deadline);
		log_client(client, P2PD_LOG_DEBUG, "\"%s\" says hello",
			   log_quoted(&program, hello->program));
	}
	request_done(request, &reply);
}

void request_status(struct request *request)
{
	const struct server *server = request->server;
	struct wire_status_reply reply = {
		.pid = getpid(),
		.nr_clients = server->nr_clients,
		.nr_leases = (uint32_t)server->broker.leases.count,
		.nr_providers = server->broker.nr_providers,
		.leased_bytes = server->broker.leased_bytes,
		.started_ns = server->started_ns,
		.policy_generation = server->broker.policy_generation,
		.policy_refused = server->broker.policy_refused,
		.instance = journal_instance(server->broker.journal),
	};

	wire_text_set(reply.version, sizeof(reply.version), p2pd_version);
	request_done(request, &reply);
}

void request_monitor(struct request *request)
{
	const struct wire_monitor *monitor = &request->body.monitor;

	if (monitor->is_on > 1 || monitor->reserved) {
		request_refuse(request, -EINVAL, "MONITOR is switched with 0 or 1");
		return;
	}
	if (client_monitor(request->client, monitor->is_on)) {
		request_refuse(request, -EDQUOT,
			       "user %" PRIu32 " has as many monitors as one may have",
			       (uint32_t)request->client->holder->subject.uid);
		return;
	}
	client_reply(request->client, &request->header, NULL, 0, -1);
}

void request_stats(struct request *request)
{
	const struct wire_stats *stats = &request->body.stats;
	const struct policy *policy = request->server->broker.policy;
	bool is_admin = policy_is_admin(policy, &request->client->holder->subject);
	bool has_users = is_admin || policy_settings(policy)->is_usage_public;
	bool is_dump = stats->what == WIRE_STATS_DUMP;
	struct wire_stats_reply reply;
	int fd, r;

	if (stats->what > WIRE_STATS_DUMP || stats->reserved) {
		request_refuse(request, -EINVAL, "there are no statistics of that kind");
		return;
	}
	if (is_dump && !is_admin) {
		request_refuse(request, -EPERM, "the whole state is for administrators");
		return;
	}
	r = client_may_get_fd(request->client, ROOM_METRICS, &request->cause);
	if (r) {
		request_failed(request, r);
		return;
	}
	r = is_dump ? stats_dump(request->server, &fd, &reply.size_bytes) :
		      stats_metrics(request->server, has_users, &fd, &reply.size_bytes);
	if (r) {
		client_fd_unneeded(request->client);
		request_refuse(request, r, "the text can't be written");
		return;
	}
	request->client->nr_texts++;
	request->server->room.nr_texts++;
	client_reply(request->client, &request->header, &reply, sizeof(reply), fd);
}
