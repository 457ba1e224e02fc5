/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_CONTEXT_H
#define P2PDMA_CONTEXT_H

#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One user of the library. Nothing is shared between two contexts. */
struct p2pdma_context;

enum p2pdma_log_level {
	P2PDMA_LOG_ERROR = 0,
	P2PDMA_LOG_WARNING = 1,
	P2PDMA_LOG_INFO = 2,
	P2PDMA_LOG_DEBUG = 3,
};

/* Don't listen for hot-plug: no netlink socket, no FUNCTION_ADDED and FUNCTION_GONE events. */
#define P2PDMA_CONTEXT_NO_HOTPLUG (1U << 0)
/* Never ask p2pd: buffers are made through device nodes only. */
#define P2PDMA_CONTEXT_DIRECT	  (1U << 1)

/**
 * struct p2pdma_context_options - how to open a context
 * @size_bytes:        sizeof(struct p2pdma_context_options)
 * @flags:             P2PDMA_CONTEXT_*
 * @log_level:         the most verbose enum p2pdma_log_level that @log_handler wants
 * @broker_timeout_ms: how long calls wait for p2pd; 0: 5 seconds
 * @log_handler:       called with each message, without a newline, by the thread that
 *                     caused it; it must not call the library. NULL: no messages
 * @log_data:          handed to @log_handler
 */
struct p2pdma_context_options {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t log_level;
	uint32_t broker_timeout_ms;
	void (*log_handler)(void *log_data, int level, const char *message);
	void *log_data;
};

#define P2PDMA_CONTEXT_OPTIONS_INIT                                                                \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_context_options), 0, 0, 0, 0, 0                     \
	}

/**
 * p2pdma_context_open() - begin to use the library
 * @options:     borrowed; NULL means P2PDMA_CONTEXT_OPTIONS_INIT
 * @ret_context: the context, owned by the caller; p2pdma_context_close() releases it
 *
 * Opens no device and no connection: that happens when a buffer needs one. A
 * hot-plug monitor that can't be had (a sandbox without netlink) is logged, not
 * an error. The socket of p2pd is /run/p2pd/p2pd.sock, or what the environment
 * variable P2PDMA_SOCKET says, which is ignored in programs with raised privileges
 * (secure_getenv(3)).
 *
 * Blocking: no
 * Threads:  any; don't use the context in a forked child
 * Kernel:   sysfs, epoll, eventfd, netlink uevents
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a bad option; -E2BIG for options from the future;
 * -ENOENT when there is no sysfs; -EMFILE, -ENFILE, -ENOMEM. The cause of a failure is
 * p2pdma_context_error(NULL).
 */
P2PDMA_API int p2pdma_context_open(const struct p2pdma_context_options *options,
				   struct p2pdma_context **ret_context);

/**
 * p2pdma_context_close() - end the use of the library
 * @context: consumed; NULL is allowed
 *
 * Closes the descriptor of p2pdma_context_fd() and drops events that nobody
 * took. Buffers and memory regions that still exist stay valid until they are
 * freed, but no event reaches them any more; free them first.
 *
 * Blocking: no
 * Threads:  any; no other thread may be in a call with this context
 * Kernel:   close
 * Since:    0.1
 */
P2PDMA_API void p2pdma_context_close(struct p2pdma_context *context);

/**
 * p2pdma_context_error() - why the calling thread's last failed call failed
 * @context: borrowed; NULL asks about p2pdma_context_open()
 *
 * One sentence that names the device, the rule and what to change, such as
 * "iova 0x1234 and offset 0x0 differ below the page size 4096". Each thread has
 * one place for it, shared by all contexts; a call that succeeds leaves it.
 *
 * Blocking: no
 * Threads:  any; each sees its own
 * Kernel:   none
 * Since:    0.1
 *
 * Return: the sentence, or "" when this thread's last failure was not on
 * @context; valid until the thread's next failing call
 */
P2PDMA_API const char *p2pdma_context_error(const struct p2pdma_context *context);

/**
 * p2pdma_context_fd() - one descriptor that says when there are events
 * @context: borrowed
 *
 * Poll it for reading (poll, epoll, libevent, libuv) and call
 * p2pdma_next_event() until that says -EAGAIN. Don't read or close it.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   epoll
 * Since:    0.1
 *
 * Return: the descriptor, owned by the context, or -EINVAL for NULL
 */
P2PDMA_API int p2pdma_context_fd(const struct p2pdma_context *context);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_CONTEXT_H */
