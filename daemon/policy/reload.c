// SPDX-License-Identifier: MIT
/*
 * Reloading the policy without the loop ever waiting.
 *
 * One thread at a time, detached: it reads the files into a new policy and writes the pointer
 * to it into a pipe. The loop takes it from there. The thread touches nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "common/sys.h"
#include "client/intake.h"
#include "report/log.h"
#include "file.h"
#include "provider/publication.h"
#include "reload.h"
#include "state/service.h"

struct outcome {
	struct policy *policy; /* NULL: it has faults */
	char *complaints;
	int error;
};

struct reload {
	int pipe[2];
	struct event *event;
	bool is_running;
	bool is_wanted_again;
};

struct work {
	char *path;
	uint32_t required; /* what the policy in use was made from */
	int fd;
};

static void *read_policy(void *data)
{
	struct work *work = data;
	struct outcome outcome = {0};

	outcome.error =
		policy_load(work->path, work->required, &outcome.policy, &outcome.complaints);
	/* Smaller than PIPE_BUF: whole or not at all, and the pipe is empty. */
	if (write(work->fd, &outcome, sizeof(outcome)) != sizeof(outcome)) {
		policy_free(outcome.policy);
		free(outcome.complaints);
	}
	free(work->path);
	free(work);
	return NULL;
}

/* For whoever reads the log, and for whoever only looks at the service. */
static void complain(const struct outcome *outcome)
{
	const char *name = error_name(outcome->error);
	char *rest = outcome->complaints, *line;
	const char *first = NULL;

	log_event(P2PD_LOG_ERROR, "the new policy is not used: %s", name);
	while (rest && (line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		log_event(P2PD_LOG_ERROR, "%s", line);
		if (!first)
			first = line;
	}
	service_status("The new policy is not used: %s", first ? first : name);
}

/* The first policy that goes by control groups judges leases whose holders' aren't known yet. */
static void learn_cgroups(struct server *server, const struct policy *policy)
{
	struct lease *lease;

	if (!policy_needs_cgroup(policy))
		return;
	for (uint64_t id = 0; (lease = lease_table_after(&server->broker.leases, id));
	     id = lease->id)
		if (lease->holder)
			holder_learn_cgroup(lease->holder, policy);
}

static void on_outcome(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	struct outcome outcome;

	(void)what;
	if (read(fd, &outcome, sizeof(outcome)) != sizeof(outcome))
		return;
	server->reload->is_running = false;
	if (outcome.error) {
		complain(&outcome);
		broker_policy_refused(&server->broker, outcome.error);
	} else {
		learn_cgroups(server, outcome.policy);
		broker_policy_replace(&server->broker, outcome.policy);
		publications_judge(server);
		list_for_each_entry(client, &server->clients, struct client, link)
			intake_admit(client);
		log_set_level(policy_settings(outcome.policy)->log_level);
		log_event(P2PD_LOG_INFO, "policy loaded, number %llu",
			  (unsigned long long)server->broker.policy_generation);
		service_status("Policy number %llu is in use",
			       (unsigned long long)server->broker.policy_generation);
	}
	free(outcome.complaints);
	service_ready();
	if (server->reload->is_wanted_again) {
		server->reload->is_wanted_again = false;
		reload_request(server);
	}
}

void reload_request(struct server *server)
{
	struct reload *reload = server->reload;
	struct work *work;
	pthread_t thread;

	if (reload->is_running) {
		reload->is_wanted_again = true;
		return;
	}
	work = calloc(1, sizeof(*work));
	if (work) {
		work->fd = reload->pipe[1];
		work->path = strdup(server->config_path);
		work->required = policy_settings(server->broker.policy)->found;
	}
	if (!work || !work->path || pthread_create(&thread, NULL, read_policy, work)) {
		log_event(P2PD_LOG_ERROR, "no memory to load the policy");
		if (work)
			free(work->path);
		free(work);
		return;
	}
	pthread_detach(thread);
	reload->is_running = true;
	service_reloading();
}

int reload_init(struct server *server)
{
	struct reload *reload = calloc(1, sizeof(*reload));

	if (!reload)
		return -ENOMEM;
	server->reload = reload;
	if (pipe2(reload->pipe, O_CLOEXEC) < 0) {
		free(reload);
		server->reload = NULL;
		return -errno;
	}
	reload->event =
		event_new(server->base, reload->pipe[0], EV_READ | EV_PERSIST, on_outcome, server);
	return reload->event && !event_add(reload->event, NULL) ? 0 : -ENOMEM;
}

void reload_done(struct server *server)
{
	struct reload *reload = server->reload;
	struct outcome outcome;

	if (!reload)
		return;
	if (reload->event)
		event_free(reload->event);
	/* What it has said and nobody heard. */
	fcntl(reload->pipe[0], F_SETFL, O_NONBLOCK);
	if (read(reload->pipe[0], &outcome, sizeof(outcome)) == sizeof(outcome)) {
		policy_free(outcome.policy);
		free(outcome.complaints);
		reload->is_running = false;
	}
	close(reload->pipe[0]);
	/* A thread that is still reading has the other end; the process is about to end. */
	if (!reload->is_running)
		close(reload->pipe[1]);
	free(reload);
	server->reload = NULL;
}
