// SPDX-License-Identifier: MIT
/*
 * Opening and closing functions of VFIO without the loop ever waiting.
 *
 * One thread does what may take its time, one step at a time; the loop gives it the next step and
 * hears through a pipe when it is over. What is to be closed comes before what is to be opened. The nodes
 * that functions share (a group, an iommufd) are the thread's while it works, and the
 * loop's while it doesn't; so is the job.
 *
 *	open	thread: open it, memory decode on
 *		loop: its descriptor, and what is shared, to the service manager, and ask whether it has them
 *	close	thread: memory decode off, which ends its DMABUFs whatever closing takes
 *		loop: have its kept copy closed, and ask whether it is: not the manager, but we make
 *		the last close, in which the kernel resets the function. There is no going on without:
 *		opened again while the copy is there, its old DMABUFs would come back to life
 *		thread: close it
 *		loop: wait until the kernel says that nobody has it open; then
 *		the same for what was shared and isn't any more; who opens it next must find it free
 *
 * A thread that is stuck in the kernel holds up other functions of VFIO, and nothing else. At the
 * end it is left alone with all that it uses: the process ends with it, as soon as the kernel lets it.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/sys.h"
#include "vfio_closing.h"
#include "vfio_jobs.h"
#include "vfio_kept.h"
#include "vfio_work.h"

struct vfio_jobs {
	/* With nobody to keep anything once it is over. */
	struct vfio_nodes nodes;
	struct vfio_keeper keeper;
	vfio_take_fn take;
	void *take_data;
	struct vfio_kept kept;
	struct vfio_closing closing;

	struct list closings; /* these first */
	struct list openings;
	struct vfio_job *running;
	vfio_work_fn work;		      /* in the thread */
	void (*then)(struct vfio_jobs *jobs); /* in the loop */
	bool is_working;
	bool is_held; /* vfio_jobs_go() is still to come */
	bool is_ending;

	pthread_t thread;
	bool has_thread;
	int orders[2];
	int outcomes[2];
	struct event *outcome;
	int answer; /* of who keeps */
};

/* -- in the thread -- */

static void note_keep(const char *name, int fd, void *data)
{
	struct vfio_jobs *jobs = data;

	vfio_kept_note(&jobs->kept, name, fd);
}

static void note_forget(const char *name, void *data)
{
	struct vfio_jobs *jobs = data;

	vfio_kept_note_forget(&jobs->kept, name);
}

static int take(const char *name, void *data)
{
	const struct vfio_jobs *jobs = data;

	return jobs->take(name, jobs->take_data);
}

static void *run(void *data)
{
	struct vfio_jobs *jobs = data;
	/* Its own: at the end others may close theirs. */
	int orders = jobs->orders[0], outcomes = jobs->outcomes[1];
	char byte;

	pthread_setname_np(pthread_self(), "p2pd-vfio");
	while (read(orders, &byte, 1) == 1) {
		jobs->work(&jobs->nodes, jobs->running);
		if (write(outcomes, &byte, 1) != 1)
			abort();
	}
	return NULL;
}

/* -- in the loop -- */

static void start_next(struct vfio_jobs *jobs);

static void in_thread(struct vfio_jobs *jobs, vfio_work_fn work,
		      void (*then)(struct vfio_jobs *jobs))
{
	jobs->work = work;
	jobs->then = then;
	vfio_kept_begin(&jobs->kept);
	jobs->is_working = true;
	/* It is idle, and the pipe empty. */
	if (write(jobs->orders[1], "", 1) != 1)
		abort();
}

static void on_outcome(evutil_socket_t fd, short what, void *data)
{
	struct vfio_jobs *jobs = data;
	char byte;

	(void)what;
	if (read(fd, &byte, 1) != 1)
		return;
	jobs->is_working = false;
	jobs->then(jobs);
}

static void over(struct vfio_jobs *jobs)
{
	struct vfio_job *job = jobs->running;

	jobs->running = NULL;
	job->done(job);
	start_next(jobs);
}

/* Of what was noted. */
static void on_kept(void *data, int error)
{
	struct vfio_jobs *jobs = data;

	jobs->answer = error;
	jobs->then(jobs);
}

static void on_late(void *data, const char *why)
{
	const struct vfio_jobs *jobs = data;

	jobs->running->late(jobs->running, why);
}

static void kept(struct vfio_jobs *jobs)
{
	jobs->running->keep_error = jobs->answer;
	over(jobs);
}

/* What is shared and isn't needed any more: who opens it next must find it free. */
static void forget_shared(void *data)
{
	struct vfio_jobs *jobs = data;

	jobs->then = over;
	if (jobs->is_ending || !jobs->kept.nr_notes)
		over(jobs);
	else
		vfio_kept_forget(&jobs->kept);
}

static void closed(struct vfio_jobs *jobs)
{
	vfio_closing_await(&jobs->closing, &jobs->running->function, jobs->running->has_shared);
}

static void opened(struct vfio_jobs *jobs)
{
	struct vfio_job *job = jobs->running;

	if (job->error) {
		forget_shared(jobs);
		return;
	}
	jobs->then = kept;
	vfio_kept_note(&jobs->kept, job->name, job->open.fd);
	if (jobs->is_ending)
		on_kept(jobs, -ESHUTDOWN);
	else
		vfio_kept_keep(&jobs->kept);
}

static void forgotten(struct vfio_jobs *jobs)
{
	in_thread(jobs, vfio_work_close, closed);
}

static void silenced(struct vfio_jobs *jobs)
{
	jobs->then = forgotten;
	vfio_kept_note_forget(&jobs->kept, jobs->running->name);
	vfio_kept_forget(&jobs->kept);
}

static void start_next(struct vfio_jobs *jobs)
{
	struct list *queue = list_is_empty(&jobs->closings) ? &jobs->openings : &jobs->closings;
	struct vfio_job *job;

	if (jobs->running || jobs->is_held || list_is_empty(queue))
		return;
	job = jobs->running = list_entry(queue->next, struct vfio_job, link);
	list_remove(&job->link);
	if (job->is_opening)
		in_thread(jobs, vfio_work_open, opened);
	else
		in_thread(jobs, vfio_work_silence, silenced);
}

int vfio_jobs_begin(struct vfio_jobs *jobs, struct vfio_job *job)
{
	if (jobs->is_ending)
		return -ESHUTDOWN;
	job->error = job->keep_error = job->decode_error = 0;
	job->is_deaf = false;
	job->why.text[0] = '\0';
	list_init(&job->link);
	/* What is closed may be what is to be opened next. */
	list_append(job->is_opening ? &jobs->openings : &jobs->closings, &job->link);
	start_next(jobs);
	return 0;
}

void vfio_jobs_go(struct vfio_jobs *jobs)
{
	jobs->is_held = false;
	start_next(jobs);
}

struct vfio_nodes *vfio_jobs_nodes(struct vfio_jobs *jobs)
{
	return jobs->is_working ? NULL : &jobs->nodes;
}

const struct sys_ops *vfio_jobs_sys(const struct vfio_jobs *jobs)
{
	return jobs->nodes.sys;
}

/* -- beginning and end -- */

/* What makes it run; on failure vfio_jobs_free() is for the caller. */
static int make_pipes(struct vfio_jobs *jobs, struct event_base *base)
{
	int r = vfio_kept_init(&jobs->kept, base);

	if (!r)
		r = vfio_closing_init(&jobs->closing, base);
	if (r)
		return r;
	jobs->kept.over = on_kept;
	jobs->closing.over = forget_shared;
	jobs->kept.late = jobs->closing.late = on_late;
	jobs->kept.data = jobs->closing.data = jobs;
	if (pipe2(jobs->orders, O_CLOEXEC) < 0 || pipe2(jobs->outcomes, O_CLOEXEC) < 0)
		return -errno;
	jobs->outcome = event_new(base, jobs->outcomes[0], EV_READ | EV_PERSIST, on_outcome, jobs);
	return jobs->outcome && !event_add(jobs->outcome, NULL) ? 0 : -ENOMEM;
}

int vfio_jobs_new(struct event_base *base, int dev_fd, vfio_take_fn take_kept, void *data,
		  struct vfio_jobs **ret_jobs)
{
	struct vfio_jobs *jobs = calloc(1, sizeof(*jobs));
	int r;

	if (!jobs)
		return -ENOMEM;
	list_init(&jobs->closings);
	list_init(&jobs->openings);
	jobs->take = take_kept;
	jobs->take_data = data;
	jobs->is_held = true;
	jobs->orders[0] = jobs->orders[1] = jobs->outcomes[0] = jobs->outcomes[1] = -1;
	vfio_nodes_init(&jobs->nodes, &sys_real, dev_fd);
	jobs->keeper = (struct vfio_keeper){
		.keep = note_keep, .forget = note_forget, .take = take, .data = jobs};
	jobs->nodes.keeper = &jobs->keeper;
	r = make_pipes(jobs, base);
	if (r) {
		vfio_jobs_free(jobs);
		return r;
	}
	*ret_jobs = jobs;
	return 0;
}

int vfio_jobs_start(struct vfio_jobs *jobs)
{
	sigset_t all, before;
	int r;

	if (jobs->has_thread)
		return 0;
	/* Signals are the loop's, and interrupt no opening. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&jobs->thread, NULL, run, jobs);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	jobs->has_thread = !r;
	return -r;
}

static bool is_closing(const struct vfio_jobs *jobs)
{
	return !list_is_empty(&jobs->closings) || (jobs->running && !jobs->running->is_opening);
}

void vfio_jobs_end(struct vfio_jobs *jobs, uint32_t ms)
{
	uint64_t end_ns = clock_now_ns() + ms * NS_PER_MS;
	struct pollfd outcome = {.fd = jobs->outcomes[0], .events = POLLIN};

	jobs->is_ending = true;
	for (uint64_t now_ns; is_closing(jobs) && (now_ns = clock_now_ns()) < end_ns;) {
		/* Nobody is waited for any more. */
		if (vfio_kept_abandon(&jobs->kept) || vfio_closing_abandon(&jobs->closing))
			continue;
		if (poll(&outcome, 1, (int)((end_ns - now_ns) / NS_PER_MS) + 1) > 0)
			on_outcome(outcome.fd, EV_READ, jobs);
	}
	/* Ours end, the kept ones go on. */
	if (!jobs->is_working)
		jobs->nodes.keeper = NULL;
}

void vfio_jobs_free(struct vfio_jobs *jobs)
{
	if (!jobs)
		return;
	if (jobs->outcome)
		event_free(jobs->outcome);
	vfio_kept_done(&jobs->kept);
	vfio_closing_done(&jobs->closing);
	if (jobs->is_working) {
		pthread_detach(jobs->thread);
		return;
	}
	cleanup_close(&jobs->orders[1]);
	if (jobs->has_thread)
		pthread_join(jobs->thread, NULL);
	cleanup_close(&jobs->orders[0]);
	cleanup_close(&jobs->outcomes[0]);
	cleanup_close(&jobs->outcomes[1]);
	free(jobs);
}
