/* SPDX-License-Identifier: MIT */
#ifndef CONTEXT_H
#define CONTEXT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <p2pdma/context.h>
#include <p2pdma/event.h>

#include "common/list.h"
#include "common/sys.h"
#include "common/vfio.h"
#include "mr/verbs.h"

struct broker;
struct hotplug;

/* Something with a descriptor in the context's epoll; ready() runs under context->lock. */
struct event_source {
	int fd;
	void (*ready)(struct event_source *source);
};

struct event_queue {
	struct list events;
	uint32_t count;
	uint32_t lost;
};

struct p2pdma_context {
	uint64_t serial;
	unsigned int refs; /* the caller's and one for each buffer; atomic */
	const struct sys_ops *sys;
	const struct verbs_ops *verbs;
	int sysfs_fd;
	int dev_fd;
	uint64_t page_size_bytes;
	char cpuinfo[64];
	char root[64]; /* "/" */
	int cpu;       /* enum path_answer; -1: not asked yet; atomic */

	uint32_t log_level;
	void (*log_handler)(void *log_data, int level, const char *message);
	void *log_data;

	/*
	 * open_lock: opening and closing devices, making and revoking whole
	 * functions; may be held while the kernel works. lock: every state below and
	 * in devices, buffers and MRs; never held across a blocking call. Taken
	 * in this order.
	 */
	pthread_mutex_t open_lock;
	pthread_mutex_t lock;
	struct list devices;
	struct vfio_nodes vfio; /* under open_lock */
	struct event_queue queue;
	struct list *identities; /* of DMABUFs, for caches; NULL: none yet */
	struct list ended;	 /* entries of caches that wait for mr_cache_reap() */
	struct hotplug *hotplug;
	struct broker *broker; /* NULL: P2PDMA_CONTEXT_DIRECT */
	int epoll_fd;	       /* -1 once closed by the caller */
	int wake_fd;	       /* an eventfd, readable while the queue isn't empty */
};

/* What p2pdma_context_open() opens, and tests open elsewhere. */
struct context_roots {
	const struct sys_ops *sys;
	const struct verbs_ops *verbs;
	const char *sysfs;
	const char *dev;
	const char *socket;  /* NULL: p2pd's own */
	const char *cpuinfo; /* NULL: this machine's */
	const char *root;    /* of /proc, /etc and libraries; NULL: "/" */
};

int context_open(const struct p2pdma_context_options *options, const struct context_roots *roots,
		 struct p2pdma_context **ret_context);
void context_ref(struct p2pdma_context *context);
void context_unref(struct p2pdma_context *context);

/* Both under context->lock. */
int context_watch(struct p2pdma_context *context, struct event_source *source);
void context_unwatch(struct p2pdma_context *context, struct event_source *source);

/* Keeps the sentence for p2pdma_context_error(). */
void context_tell_cause(const struct p2pdma_context *context, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same of what has been explained already. */
void context_tell_explained(const struct p2pdma_context *context, int error, const char *format,
			    ...) __attribute__((format(printf, 3, 4)));

/* The first, and is @error, a -errno: a macro so that the compiler sees that it isn't 0. */
#define context_fail(context, error, ...)                                                          \
	({                                                                                         \
		int error_ = (error);                                                              \
                                                                                                   \
		context_tell_cause(context, error_, __VA_ARGS__);                                  \
		error_;                                                                            \
	})

void context_log(const struct p2pdma_context *context, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What this thread's last context_fail() said; "" where it was on another context. */
const char *cause_get(uint64_t serial);

/* All of it, to be put back by a call that fails inside and succeeds all the same. */
struct told {
	uint64_t serial;
	char text[1024];
};

void cause_save(struct told *ret_told);
void cause_restore(const struct told *told);

#endif /* CONTEXT_H */
