// SPDX-License-Identifier: MIT
/*
 * The context: one user of the library.
 *
 * It owns what all its buffers share: the directories that discovery starts
 * from, the epoll set behind p2pdma_context_fd(), the queue of events, the list
 * of open devices. It is counted: the caller holds one reference and each
 * buffer another, so a context that is closed before its buffers lives on,
 * deaf: its epoll set is closed and no event is delivered any more.
 *
 * Two locks. `open_lock` makes opening, exporting from and closing devices one
 * after the other, and may be held while the kernel takes its time. `lock`
 * guards every state and is never held across anything that blocks, so that
 * p2pdma_next_event() never waits for a slow open. Order: open_lock, lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "context.h"
#include "event/queue.h"
#include "event/hotplug.h"
#include "mr_cache/mr_cache.h"
#include "options.h"

static uint64_t next_serial = 1;

static void context_free(struct p2pdma_context *context)
{
	event_queue_done(context);
	hotplug_free(context->hotplug);
	broker_free(context->broker);
	mr_identities_free(context);
	cleanup_close(&context->epoll_fd);
	cleanup_close(&context->wake_fd);
	cleanup_close(&context->sysfs_fd);
	cleanup_close(&context->dev_fd);
	pthread_mutex_destroy(&context->lock);
	pthread_mutex_destroy(&context->open_lock);
	free(context);
}

void context_ref(struct p2pdma_context *context)
{
	__atomic_fetch_add(&context->refs, 1, __ATOMIC_RELAXED);
}

void context_unref(struct p2pdma_context *context)
{
	if (__atomic_fetch_sub(&context->refs, 1, __ATOMIC_ACQ_REL) == 1)
		context_free(context);
}

int context_watch(struct p2pdma_context *context, struct event_source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	if (context->epoll_fd < 0)
		return 0;
	return epoll_ctl(context->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

void context_unwatch(struct p2pdma_context *context, struct event_source *source)
{
	if (context->epoll_fd >= 0)
		epoll_ctl(context->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

static int load_options(const struct p2pdma_context_options *options,
			struct p2pdma_context_options *ret_known)
{
	struct p2pdma_context_options known = P2PDMA_CONTEXT_OPTIONS_INIT;
	int r;

	if (options) {
		r = options_load(&known, sizeof(known), sizeof(known), options);
		if (r)
			return context_fail(NULL, r, "the context options have a wrong size");
	}
	if (known.flags & ~(P2PDMA_CONTEXT_NO_HOTPLUG | P2PDMA_CONTEXT_DIRECT))
		return context_fail(NULL, -EINVAL, "unknown context flags 0x%x", known.flags);
	if (known.log_level > P2PDMA_LOG_DEBUG)
		return context_fail(NULL, -EINVAL, "log level %u is beyond P2PDMA_LOG_DEBUG",
				    known.log_level);
	*ret_known = known;
	return 0;
}

static int open_directory(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return context_fail(NULL, -errno, "can't open %s: %s", path, error_name(errno));
	*ret_fd = fd;
	return 0;
}

static int open_descriptors(struct p2pdma_context *context, const struct context_roots *roots)
{
	/* Tagged as no source at all: the eventfd only makes the set readable. */
	struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
	int r;

	r = open_directory(roots->sysfs, &context->sysfs_fd);
	if (r)
		return r;
	r = open_directory(roots->dev, &context->dev_fd);
	if (r)
		return r;
	context->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	context->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (context->wake_fd < 0 || context->epoll_fd < 0 ||
	    epoll_ctl(context->epoll_fd, EPOLL_CTL_ADD, context->wake_fd, &wake) < 0)
		return context_fail(NULL, -errno, "can't make the event descriptors: %s",
				    error_name(errno));
	return 0;
}

int context_open(const struct p2pdma_context_options *options, const struct context_roots *roots,
		 struct p2pdma_context **ret_context)
{
	struct p2pdma_context_options known;
	struct p2pdma_context *context;
	int r;

	r = load_options(options, &known);
	if (r)
		return r;
	context = calloc(1, sizeof(*context));
	if (!context)
		return context_fail(NULL, -ENOMEM, "no memory for a context");
	context->serial = __atomic_fetch_add(&next_serial, 1, __ATOMIC_RELAXED);
	context->refs = 1;
	context->sys = roots->sys;
	context->verbs = roots->verbs;
	context->sysfs_fd = context->dev_fd = context->epoll_fd = context->wake_fd = -1;
	context->page_size_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	snprintf(context->cpuinfo, sizeof(context->cpuinfo), "%s",
		 roots->cpuinfo ? roots->cpuinfo : "");
	snprintf(context->root, sizeof(context->root), "%s", roots->root ? roots->root : "/");
	context->cpu = -1;
	context->log_level = known.log_level;
	context->log_handler = known.log_handler;
	context->log_data = known.log_data;
	pthread_mutex_init(&context->open_lock, NULL);
	pthread_mutex_init(&context->lock, NULL);
	list_init(&context->devices);
	list_init(&context->ended);
	event_queue_init(context);

	r = open_descriptors(context, roots);
	if (!r && !(known.flags & P2PDMA_CONTEXT_DIRECT))
		r = broker_new(context, roots->socket, known.broker_timeout_ms, &context->epoll_fd,
			       &context->broker);
	if (r) {
		context_free(context);
		return r;
	}
	vfio_nodes_init(&context->vfio, context->sys, context->dev_fd);
	if (!(known.flags & P2PDMA_CONTEXT_NO_HOTPLUG)) {
		r = hotplug_new(context, &context->hotplug);
		if (r)
			context_log(
				context, P2PDMA_LOG_WARNING,
				"no hot-plug monitor: %s; devices that come and go are not told",
				error_name(r));
	}
	*ret_context = context;
	return 0;
}

int p2pdma_context_open(const struct p2pdma_context_options *options,
			struct p2pdma_context **ret_context)
{
	struct context_roots roots = {
		.sys = &sys_real,
		.verbs = &verbs_real,
		.sysfs = "/sys",
		.dev = "/dev",
		.socket = secure_getenv("P2PDMA_SOCKET"),
	};

	if (roots.socket && !*roots.socket)
		roots.socket = NULL;
	if (!ret_context)
		return context_fail(NULL, -EINVAL, "no place for the context was given");
	return context_open(options, &roots, ret_context);
}

void p2pdma_context_close(struct p2pdma_context *context)
{
	if (!context)
		return;
	pthread_mutex_lock(&context->lock);
	event_queue_done(context);
	hotplug_free(context->hotplug);
	context->hotplug = NULL;
	cleanup_close(&context->epoll_fd);
	context->epoll_fd = -1;
	pthread_mutex_unlock(&context->lock);
	mr_cache_reap(context);
	context_unref(context);
}

const char *p2pdma_context_error(const struct p2pdma_context *context)
{
	return cause_get(context ? context->serial : 0);
}

int p2pdma_context_fd(const struct p2pdma_context *context)
{
	return context ? context->epoll_fd : -EINVAL;
}
