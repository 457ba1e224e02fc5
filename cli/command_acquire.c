// SPDX-License-Identifier: MIT
/*
 * Holding a lease while a command runs: `acquire`.
 *
 * p2pctl is the holder: it keeps the connection, hears what p2pd wants, and gives the lease
 * back when COMMAND has ended. COMMAND inherits the DMABUF's descriptor and finds its number and
 * the lease's facts in the environment. When the lease is wanted back COMMAND gets a signal
 * (SIGTERM, see --revoke-signal) and the deadline on stderr; at the deadline its memory is taken
 * whatever it does. Signals to p2pctl are passed on, apart from those of the terminal, which
 * COMMAND gets itself. Without COMMAND the lease is held until a signal or its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lease_options.h"
#include "tables.h"

struct holding {
	struct cli *cli;
	struct p2pdma_buffer *buffer;
	int signal_fd;
	pid_t child; /* 0: none */
	int revoke_signal;
	int code;
	bool is_over;
};

static const int passed_on[] = {SIGHUP,	 SIGINT,   SIGQUIT, SIGTERM, SIGUSR1,
				SIGUSR2, SIGWINCH, SIGALRM, SIGCONT};

#define NR_PASSED_ON (sizeof(passed_on) / sizeof(*passed_on))

static void set_number(const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	setenv(name, text, 1);
}

static void set_environment(const struct p2pdma_lease_info *info, const char *exporter, int fd)
{
	set_number("P2PDMA_FD", (uint64_t)fd);
	set_number("P2PDMA_LEASE_ID", info->id);
	set_number("P2PDMA_LEASE_SIZE", info->length_bytes);
	set_number("P2PDMA_LEASE_OFFSET", info->offset_bytes);
	set_number("P2PDMA_LEASE_EXPIRES_NS", info->expires_ns);
	setenv("P2PDMA_EXPORTER", exporter, 1);
	setenv("P2PDMA_LEASE_PROVIDER", info->provider, 1);
	setenv("P2PDMA_LEASE_LABEL", info->label, 1);
	setenv("P2PDMA_LEASE_MODE", mode_name(info->mode), 1);
	setenv("P2PDMA_LEASE_ACCESS", info->flags & P2PDMA_BUFFER_READ_ONLY ? "ro" : "rw", 1);
	setenv("P2PDMA_LEASE_FORCE", force_name(info->force), 1);
}

/* In the child: only the DMABUF goes along. */
static void run_command(const struct p2pdma_lease_info *info, int dmabuf, const char *exporter,
			const sigset_t *mask, char **command)
{
	int fd = fcntl(dmabuf, F_DUPFD, 3);

	if (fd < 0) {
		fprintf(stderr, "p2pctl: no descriptor for %s: %s\n", command[0], strerror(errno));
		_exit(126);
	}
	set_environment(info, exporter, fd);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	fprintf(stderr, "p2pctl: can't run %s: %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void signal_came(struct holding *holding)
{
	struct signalfd_siginfo info;
	int status;

	if (read(holding->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) {
		if (!holding->child || waitpid(holding->child, &status, WNOHANG) <= 0)
			return;
		holding->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		holding->child = 0;
		holding->is_over = true;
	} else if (holding->child) {
		/* The terminal's went to the whole group. */
		if (info.ssi_code != SI_KERNEL)
			kill(holding->child, (int)info.ssi_signo);
	} else if (info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT) {
		holding->is_over = true;
	}
}

static void wanted_back(struct holding *holding, const struct p2pdma_event *event)
{
	uint64_t now = now_ns();
	char text[32];

	format_time(event->deadline_ns > now ? event->deadline_ns - now : 0, text, sizeof(text));
	fprintf(stderr, "p2pctl: the lease is wanted back (%s), in %s\n",
		p2pdma_reason_name(event->reason), text);
	if (!holding->child)
		holding->is_over = true;
	else if (holding->revoke_signal)
		kill(holding->child, holding->revoke_signal);
}

static void events_came(struct holding *holding)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	while (!p2pdma_next_event(holding->cli->context, &event)) {
		if (event.type == P2PDMA_EVENT_REVOKE_REQUESTED) {
			wanted_back(holding, &event);
		} else if (event.type == P2PDMA_EVENT_REVOKED) {
			fprintf(stderr, "p2pctl: the lease was revoked (%s)\n",
				p2pdma_reason_name(event.reason));
			/* COMMAND goes on without it, as long as it wants. */
			if (!holding->child) {
				holding->code = EXIT_NOT_POSSIBLE;
				holding->is_over = true;
			}
		}
	}
}

static int hold(struct holding *holding)
{
	struct pollfd fds[2] = {
		{.fd = holding->signal_fd, .events = POLLIN},
		{.fd = p2pdma_context_fd(holding->cli->context), .events = POLLIN},
	};

	while (!holding->is_over) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return EXIT_FAILED;
		if (fds[0].revents)
			signal_came(holding);
		if (fds[1].revents)
			events_came(holding);
	}
	return holding->code;
}

static int block_signals(struct holding *holding, sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < NR_PASSED_ON; i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, ret_before);
	holding->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return holding->signal_fd < 0 ? -errno : 0;
}

static int start(struct holding *holding, const struct p2pdma_lease_info *info,
		 const sigset_t *before, char **command)
{
	/* Asked here: nothing of the library may be called in a child. */
	const char *exporter = p2pdma_buffer_exporter(holding->buffer);
	int dmabuf = p2pdma_buffer_fd(holding->buffer);

	holding->child = fork();
	if (holding->child < 0) {
		holding->child = 0;
		fprintf(stderr, "p2pctl: can't start %s: %s\n", command[0], strerror(errno));
		return EXIT_FAILED;
	}
	if (!holding->child)
		run_command(info, dmabuf, exporter, before, command);
	return EXIT_OK;
}

static int acquired(struct holding *holding, char **command)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;
	sigset_t before;
	int r;

	r = p2pdma_lease_query(holding->buffer, &info);
	if (r)
		return cli_failed(holding->cli, r, "can't look at the lease");
	if (command && p2pdma_buffer_fd(holding->buffer) < 0) {
		fprintf(stderr,
			"p2pctl: p2pmem is memory of the process that leases it: %s can't inherit "
			"it\n  try: without a command, or p2pdma_lease_acquire(3) in the program\n",
			command[0]);
		return EXIT_NOT_POSSIBLE;
	}
	if (block_signals(holding, &before)) {
		fprintf(stderr, "p2pctl: no descriptor for signals: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	if (command) {
		r = start(holding, &info, &before, command);
	} else {
		struct table *table = lease_table_new(holding->cli);

		lease_table_add(table, &info);
		table_print(table);
		fflush(stdout);
	}
	if (!r)
		r = hold(holding);
	close(holding->signal_fd);
	return r;
}

static int parse_signal(const char *text)
{
	if (!strcmp(text, "none"))
		return 0;
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name && !strcasecmp(name, text))
			return i;
	}
	return -1;
}

int command_acquire(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		LEASE_OPTIONS,
		{"revoke-signal", required_argument, NULL, OPTION_REVOKE_SIGNAL},
		{0},
	};
	struct holding holding = {.cli = cli, .revoke_signal = SIGTERM};
	struct lease_options wanted;
	char **command = NULL;
	int option, r;

	lease_options_init(&wanted);
	while ((option = cli_option(cli, argc, argv, LEASE_LETTERS, options)) != -1) {
		if (option == OPTION_REVOKE_SIGNAL)
			holding.revoke_signal = parse_signal(optarg);
		else if (!lease_options_take(cli, option, &wanted))
			return EXIT_USAGE;
		if (holding.revoke_signal < 0)
			return cli_usage(cli, "%s is no signal", optarg);
	}
	/* getopt has taken the "--" where there was no selector before it. */
	if (optind < argc && strcmp(argv[optind - 1], "--"))
		wanted.request.selector = argv[optind++];
	if (optind < argc && !strcmp(argv[optind], "--"))
		optind++;
	else if (optind < argc && strcmp(argv[optind - 1], "--"))
		return cli_usage(cli, "the command stands behind --");
	if (optind < argc)
		command = argv + optind;
	r = lease_options_check(cli, &wanted);
	if (!r)
		r = cli_open(cli, 0);
	if (!r)
		r = lease_options_complete(cli, &wanted);
	if (r)
		return r;
	r = p2pdma_lease_acquire(cli->context, &wanted.request, &holding.buffer);
	if (r)
		return cli_failed(cli, r, "can't acquire %s",
				  wanted.request.selector ? wanted.request.selector : "a slice");
	r = acquired(&holding, command);
	p2pdma_buffer_free(holding.buffer);
	return r;
}
