// SPDX-License-Identifier: MIT
/*
 * p2pd: grants slices of PCI devices' memory, and takes them back.
 *
 * The order of starting: policy, the descriptors that were kept, the journal,
 * devices (each with its kept descriptor), what the journal knew and is no more, and only then
 * clients. Until the last step nothing is granted, so that nothing is granted twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "client/client.h"
#include "common/sys.h"
#include "request/deferred.h"
#include "provider/discovery.h"
#include "client/intake.h"
#include "report/log.h"
#include "policy/file.h"
#include "policy/reload.h"
#include "state/service.h"
#include "report/writer.h"

#define CONFIG_PATH   "/etc/p2pd/p2pd.conf"
#define METRICS_EVERY 15
#define EXIT_USAGE    2

const char p2pd_version[] = P2PD_VERSION;

struct options {
	const char *config;
	const char *socket;
	bool is_check;
	struct check check;
};

static int usage(FILE *out, int code)
{
	fputs("usage: p2pd [--config FILE] [--socket PATH]\n"
	      "       p2pd [--config FILE] --check\n"
	      "       p2pd [--config FILE] --check --uid USER --provider SELECTOR [--gid GROUP]\n"
	      "            [--unit UNIT] [--length SIZE] [--shared] [--read-only]\n"
	      "            [--allow-unrevocable] [--ttl TIME]\n"
	      "       p2pd [--config FILE] --check --uid USER --publish NAME [--gid GROUP] [--unit "
	      "UNIT]\n"
	      "       p2pd --help | --version\n",
	      out);
	return code;
}

static const struct option known[] = {
	{"config", required_argument, NULL, 'c'},
	{"socket", required_argument, NULL, 's'},
	{"check", no_argument, NULL, 'k'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{"uid", required_argument, NULL, CHECK_UID},
	{"gid", required_argument, NULL, CHECK_GID},
	{"provider", required_argument, NULL, CHECK_PROVIDER},
	{"unit", required_argument, NULL, CHECK_UNIT},
	{"length", required_argument, NULL, CHECK_LENGTH},
	{"shared", no_argument, NULL, CHECK_SHARED},
	{"read-only", no_argument, NULL, CHECK_READ_ONLY},
	{"allow-unrevocable", no_argument, NULL, CHECK_UNREVOCABLE},
	{"ttl", required_argument, NULL, CHECK_TTL},
	{"publish", required_argument, NULL, CHECK_PUBLISH},
	{0},
};

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct options *ret_options)
{
	int option;

	*ret_options = (struct options){.config = CONFIG_PATH, .socket = WIRE_SOCKET_PATH};
	check_init(&ret_options->check);
	while ((option = getopt_long(argc, argv, "c:s:h", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			ret_options->config = optarg;
			break;
		case 's':
			ret_options->socket = optarg;
			break;
		case 'k':
			ret_options->is_check = true;
			break;
		case 'h':
			return usage(stdout, 0);
		case 'v':
			printf("p2pd %s\n", p2pd_version);
			return 0;
		default:
			if (!check_take_option(&ret_options->check, option, optarg))
				return usage(stderr, EXIT_USAGE);
		}
	}
	if (optind != argc || (ret_options->check.has_question && !ret_options->is_check) ||
	    !check_is_complete(&ret_options->check))
		return usage(stderr, EXIT_USAGE);
	return -1;
}

static int load_policy(const char *path, struct policy **ret_policy)
{
	char *complaints = NULL;
	int r;

	r = policy_load(path, 0, ret_policy, &complaints);
	if (r)
		fprintf(stderr, "p2pd: %s: %s\n%s", path, error_name(r),
			complaints ? complaints : "");
	free(complaints);
	return r;
}

/* -- signals and timers -- */

static void on_stop(evutil_socket_t number, short what, void *data)
{
	struct server *server = data;

	(void)what;
	log_event(P2PD_LOG_INFO, "signal %d: ending", (int)number);
	event_base_loopbreak(server->base);
}

static void on_reload(evutil_socket_t number, short what, void *data)
{
	struct server *server = data;

	(void)number;
	(void)what;
	reload_request(server);
	discovery_rescan(server);
}

static void on_dump(evutil_socket_t number, short what, void *data)
{
	(void)number;
	(void)what;
	writer_dump(data);
}

static void on_metrics(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	const char *path = policy_settings(server->broker.policy)->metrics_path;

	(void)fd;
	(void)what;
	if (*path)
		writer_metrics(server, path);
}

/* The events live as long as the process. */
static int listen_to_signals(struct server *server)
{
	static const struct {
		int number;
		event_callback_fn handle;
	} signals[] = {
		{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGUSR1, on_dump}};
	struct timeval every = {.tv_sec = METRICS_EVERY};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct event *event =
			evsignal_new(server->base, signals[i].number, signals[i].handle, server);

		if (!event || event_add(event, NULL))
			return -ENOMEM;
		server->signals[i] = event;
	}
	server->metrics = event_new(server->base, -1, EV_PERSIST, on_metrics, server);
	if (!server->metrics || event_add(server->metrics, &every))
		return -ENOMEM;
	/* The first of them now: what is left of the last p2pd is old. */
	on_metrics(-1, EV_TIMEOUT, server);
	return 0;
}

/* -- starting -- */

/* One daemon a socket: whoever holds the lock may replace a socket that is left over. */
static int take_lock(const char *socket_path, int *ret_fd)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s.lock", socket_path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -EADDRINUSE;
	}
	*ret_fd = fd;
	return 0;
}

static void on_listener_kept(void *data, int error)
{
	struct server *server = data;

	if (!error)
		server->listener.unlink_path = NULL;
}

static int start_listening(struct server *server, struct service_fds *kept, const char *path)
{
	int fd = service_take_socket(kept), r;

	if (fd >= 0)
		return server_listen(server, fd, NULL);
	r = take_lock(path, &server->lock_fd);
	if (!r)
		r = server_bind(path, &fd);
	if (r) {
		log_event(P2PD_LOG_ERROR, "%s: %s", path,
			  r == -EADDRINUSE ? "another p2pd listens there" : error_name(r));
		return r;
	}
	r = server_listen(server, fd, path);
	/* Whoever keeps it keeps those who connect while we are away. */
	if (!r && service_keeps())
		service_keep("listener", fd, on_listener_kept, server, &server->listener.keeping);
	return r;
}

static void on_journal_kept(void *data, int error)
{
	struct server *server = data;

	server->is_journal_settling = false;
	server->is_journal_kept = !error;
	if (error)
		log_event(P2PD_LOG_ERROR,
			  "the service manager doesn't keep the journal (%s): leases end with this "
			  "p2pd",
			  error_name(error));
	deferred_resume(server);
}

/* Nothing is granted before it is known. */
static void keep_journal(struct server *server)
{
	int r = service_keep("journal", journal_fd(server->broker.journal), on_journal_kept, server,
			     &server->journal_keeping);

	server->is_journal_settling = !r;
	if (r && r != -EOPNOTSUPP)
		log_event(P2PD_LOG_ERROR, "the service manager doesn't keep the journal: %s",
			  error_name(r));
}

/* Goes on where the last p2pd stopped. */
static int restore(struct server *server, struct service_fds *kept, bool *ret_is_distrusted)
{
	int fd = service_take(kept, "journal");
	struct cause cause;
	int r;

	*ret_is_distrusted = fd < 0;
	server->is_journal_kept = fd >= 0;
	r = broker_restore(&server->broker, fd, &cause);
	if (fd >= 0 && !r)
		return 0;
	if (r) {
		log_event(P2PD_LOG_ERROR, "%s: all leases end, and everything is taken back",
			  cause.text);
		*ret_is_distrusted = true;
		server->is_journal_kept = false;
		service_forget("journal");
	}
	if (!server->broker.journal)
		return r;
	keep_journal(server);
	return 0;
}

static int start(struct server *server, struct service_fds *kept, const char *socket_path)
{
	bool is_distrusted;
	int r;

	r = restore(server, kept, &is_distrusted);
	if (!r)
		r = discovery_new(server, kept, is_distrusted);
	if (r)
		return r;
	broker_restored(&server->broker);
	server_await_publishers(server);
	r = reload_init(server);
	if (!r)
		r = writer_init(server);
	if (!r)
		r = listen_to_signals(server);
	if (!r)
		r = start_listening(server, kept, socket_path);
	return r;
}

static void raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void stop(struct server *server)
{
	service_stopping();
	/* With nobody to keep them, closing the devices ends their leases: at least it is said. */
	broker_end_unkept(&server->broker, server->is_journal_kept);
	discovery_end(server);
	for (size_t i = 0; i < sizeof(server->signals) / sizeof(server->signals[0]); i++)
		if (server->signals[i])
			event_free(server->signals[i]);
	if (server->metrics)
		event_free(server->metrics);
	reload_done(server);
	writer_done(server);
	service_done();
}

int main(int argc, char **argv)
{
	struct service_fds kept;
	struct options options;
	struct policy *policy;
	struct server server;
	int r;

	r = parse(argc, argv, &options);
	if (r >= 0)
		return r;
	log_open();
	if (load_policy(options.config, &policy))
		return EXIT_FAILURE;
	if (options.is_check) {
		r = EXIT_SUCCESS;
		if (options.check.has_question)
			r = check_run(&options.check, policy);
		else
			printf("%s: no faults\n", options.config);
		policy_free(policy);
		return r;
	}
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow is an error of whoever writes it. */
	signal(SIGXFSZ, SIG_IGN);
	raise_nofile();
	log_set_level(policy_settings(policy)->log_level);
	r = service_receive(&kept);
	if (r)
		policy_free(policy);
	else
		r = server_init(&server, policy);
	if (r) {
		log_event(P2PD_LOG_ERROR, "can't begin: %s", error_name(r));
		return EXIT_FAILURE;
	}
	/* Without one PUBLISH makes one. */
	intake_start(&server);
	r = service_init(server.base);
	if (r)
		log_event(P2PD_LOG_ERROR, "the service manager can't be told anything: %s",
			  error_name(r));
	server.config_path = options.config;
	r = start(&server, &kept, options.socket);
	service_fds_done(&kept);
	if (!r) {
		log_event(P2PD_LOG_INFO, "ready: %u providers, %zu leases",
			  server.broker.nr_providers, server.broker.leases.count);
		service_ready();
		event_base_dispatch(server.base);
	}
	stop(&server);
	server_done(&server);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
