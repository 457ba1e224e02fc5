// SPDX-License-Identifier: MIT
/*
 * Writing files without the loop ever waiting.
 *
 * open(), write(), close() and rename() wait as long as their file system does (NFS, FUSE), and so does a
 * write to a pipe that is full. The text is made in the loop, in memory; a detached thread
 * writes it and says in a pipe how it went. Each target has one thread at most: where
 * one hangs, nothing else is asked of that target, and the other one goes on.
 *
 * The thread has its own copy of the descriptor and the path, and touches nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sys.h"
#include "log.h"
#include "stats.h"
#include "writer.h"

enum target {
	METRICS,
	DUMP,
	NR_TARGETS
};

struct writer {
	int pipe[2];
	struct event *event;
	struct {
		char name[256]; /* as it is told */
		bool is_running;
		bool is_late; /* and said to be */
		bool is_broken;
	} targets[NR_TARGETS];
};

struct outcome {
	enum target target;
	int error;
};

struct writing {
	enum target target;
	int text_fd;
	uint64_t size_bytes;
	int pipe_fd;
	char path[256]; /* "": standard error */
};

/* -- in the thread -- */

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

/*
 * In a folder that others write, too, there may be a link to a file that they may not write, and
 * we may.
 */
static int open_new(const char *path, int *ret_fd)
{
	cleanup_fd int fd =
		open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0644);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (S_ISREG(status.st_mode) && status.st_nlink > 1)
		return -EMLINK;
	if (S_ISREG(status.st_mode) && ftruncate(fd, 0) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Whoever reads it finds the old text or the new one, whole. */
static int write_file(const char *path, const char *text, size_t size)
{
	char beside[sizeof(((struct writing *)NULL)->path) + 8];
	int fd = -1, r;

	snprintf(beside, sizeof(beside), "%s.new", path);
	r = open_new(beside, &fd);
	if (!r) {
		/* It is there to be read by another user, whatever our umask is. */
		fchmod(fd, 0644);
		r = write_all(fd, text, size);
		if (close(fd) < 0 && !r)
			r = -errno;
	}
	if (!r && rename(beside, path) < 0)
		r = -errno;
	if (r)
		unlink(beside);
	return r;
}

static int write_text(const struct writing *writing)
{
	size_t size = (size_t)writing->size_bytes;
	char *text = mmap(NULL, size, PROT_READ, MAP_SHARED, writing->text_fd, 0);
	int r;

	if (text == MAP_FAILED)
		return -errno;
	if (*writing->path)
		r = write_file(writing->path, text, size);
	else
		r = write_all(STDERR_FILENO, text, size);
	munmap(text, size);
	return r;
}

static void *run(void *data)
{
	struct writing *writing = data;
	struct outcome outcome = {.target = writing->target};

	/* For whoever looks at what waits there. */
	pthread_setname_np(pthread_self(), outcome.target == DUMP ? "p2pd-dump" : "p2pd-metrics");
	outcome.error = write_text(writing);
	close(writing->text_fd);
	/* Smaller than PIPE_BUF, and there are never more than two: whole, and at once. */
	if (write(writing->pipe_fd, &outcome, sizeof(outcome)) < 0)
		abort();
	free(writing);
	return NULL;
}

/* -- in the loop -- */

static void on_outcome(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	struct writer *writer = server->writer;
	struct outcome outcome;
	const char *name;

	(void)what;
	if (read(fd, &outcome, sizeof(outcome)) != sizeof(outcome))
		return;
	name = writer->targets[outcome.target].name;
	if (outcome.error && !writer->targets[outcome.target].is_broken)
		log_event(P2PD_LOG_WARNING, "%s can't be written: %s", name,
			  error_name(outcome.error));
	else if (!outcome.error && writer->targets[outcome.target].is_late)
		log_event(P2PD_LOG_INFO, "%s is written again", name);
	writer->targets[outcome.target].is_running = false;
	writer->targets[outcome.target].is_late = false;
	writer->targets[outcome.target].is_broken = outcome.error != 0;
}

static bool is_busy(struct writer *writer, enum target target)
{
	if (!writer->targets[target].is_running)
		return false;
	if (!writer->targets[target].is_late)
		log_event(P2PD_LOG_WARNING,
			  "%s hangs: what comes before it goes on is left out of it",
			  writer->targets[target].name);
	writer->targets[target].is_late = true;
	return true;
}

static int start(const struct writing *what)
{
	struct writing *writing = malloc(sizeof(*writing));
	pthread_attr_t detached;
	pthread_t thread;
	int r = ENOMEM;

	if (writing && !pthread_attr_init(&detached)) {
		*writing = *what;
		pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &detached, run, writing);
		pthread_attr_destroy(&detached);
	}
	if (r)
		free(writing);
	return -r;
}

static void begin(struct server *server, struct writing *writing, int r)
{
	struct writer *writer = server->writer;

	if (!r) {
		writing->pipe_fd = writer->pipe[1];
		r = start(writing);
		if (r)
			close(writing->text_fd);
	}
	if (r)
		log_event(P2PD_LOG_WARNING, "no text or thread for %s: %s",
			  writer->targets[writing->target].name, error_name(r));
	else
		writer->targets[writing->target].is_running = true;
}

void writer_metrics(struct server *server, const char *path)
{
	struct writing writing = {.target = METRICS};
	struct writer *writer = server->writer;

	if (is_busy(writer, METRICS))
		return;
	snprintf(writer->targets[METRICS].name, sizeof(writer->targets[METRICS].name), "%s", path);
	snprintf(writing.path, sizeof(writing.path), "%s", path);
	begin(server, &writing, stats_metrics(server, true, &writing.text_fd, &writing.size_bytes));
}

void writer_dump(struct server *server)
{
	struct writing writing = {.target = DUMP};

	if (is_busy(server->writer, DUMP))
		return;
	begin(server, &writing, stats_dump(server, &writing.text_fd, &writing.size_bytes));
}

int writer_init(struct server *server)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	if (pipe2(writer->pipe, O_CLOEXEC) < 0) {
		free(writer);
		return -errno;
	}
	server->writer = writer;
	strcpy(writer->targets[DUMP].name, "the dump to standard error");
	writer->event =
		event_new(server->base, writer->pipe[0], EV_READ | EV_PERSIST, on_outcome, server);
	return writer->event && !event_add(writer->event, NULL) ? 0 : -ENOMEM;
}

void writer_done(struct server *server)
{
	struct writer *writer = server->writer;
	bool is_running = false;

	if (!writer)
		return;
	for (int i = 0; i < NR_TARGETS; i++)
		is_running |= writer->targets[i].is_running;
	if (writer->event)
		event_free(writer->event);
	/* A thread that still waits writes to it; the process is about to end. */
	if (!is_running) {
		close(writer->pipe[0]);
		close(writer->pipe[1]);
	}
	free(writer);
	server->writer = NULL;
}
