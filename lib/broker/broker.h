/* SPDX-License-Identifier: MIT */
#ifndef BROKER_H
#define BROKER_H

#include <pthread.h>

#include <p2pdma/lease.h>

#include "common/message.h"
#include "context/context.h"
#include "backend/device.h"

/*
 * The library's end of a connection to p2pd. A context has one for its leases, and each
 * monitor one of its own.
 */

/* A program may hold thousands of leases, and an event names one. */
#define BROKER_BUCKETS 256

enum broker_state {
	BROKER_CLOSED,	  /* no socket; retry_ns says when to try again */
	BROKER_HELLO,	  /* HELLO is sent */
	BROKER_RESTORING, /* what the connection before had is being taken up, one by one */
	BROKER_UP,	  /* requests may be sent */
};

/* The one request that may be under way. */
struct broker_request {
	uint32_t serial; /* 0: none is sent */
	uint16_t opcode;
	bool is_answered;    /* the reply is there */
	bool is_lost;	     /* the connection went before the reply came */
	uint32_t connection; /* on which the reply came */
	struct message reply;
};

/* What was heard about a lease between ACQUIRE's reply and its taking over. */
struct broker_early {
	bool has_requested;
	bool has_revoked;
	struct wire_event_lease requested;
	struct wire_event_lease revoked;
};

struct broker {
	struct p2pdma_context *context;
	const int *epoll_fd; /* the context's or the monitor's */
	char path[108];
	uint32_t timeout_ms;

	/* Under context->lock. */
	bool is_waiting;     /* in poll(): wake_fd may be written */
	bool is_woken;	     /* it was */
	bool is_called;	     /* some thread has the request: broker_ask() .. broker_end() */
	pthread_cond_t idle; /* none has it any more */
	enum broker_state state;
	struct event_source socket;
	struct event_source timer;
	int wake_fd; /* an eventfd: what the caller that waits looks at has changed */
	bool is_established;
	uint32_t connection; /* counts them */
	uint32_t sent;	     /* the serial of the last request on this connection */
	uint32_t answered;
	uint32_t flags;	       /* WIRE_HELLO_* */
	unsigned int failures; /* since it was UP */
	uint32_t nr_breaks;    /* ever */
	uint64_t retry_ns;     /* CLOSED: not before */
	uint64_t deadline_ns;  /* HELLO, RESTORING: not after */
	int error;	       /* why there is no connection */
	char cause[WIRE_TEXT_SIZE + 64];
	struct broker_request request;
	struct message incoming;

	/* What makes a connection worth restoring. */
	struct list leases;		       /* struct broker_lease */
	struct list by_id[BROKER_BUCKETS];     /* the same */
	struct list functions[BROKER_BUCKETS]; /* struct broker_function */
	struct list publications;	       /* struct p2pdma_publication */
	uint32_t restoring_serial;	       /* whose reply the restoring waits for */
	uint64_t restoring_id;		       /* of the lease, or the publication's key */
	uint64_t next_key;		       /* of publications */
	struct broker_early early;
	struct p2pdma_monitor *monitor; /* NULL: not a monitor's */
};

struct broker_lease {
	struct device device; /* first; its link is in broker->leases */
	struct list id_link;  /* in broker->by_id */
	struct broker *broker;
	struct broker_function *function; /* NULL: not known, or a publication */
	struct wire_lease wire;		  /* as p2pd told it last; under context->lock */
	bool is_attached;		  /* to the connection that is there now */
};

static inline struct broker_lease *broker_lease_of(struct device *device)
{
	return list_entry(device, struct broker_lease, device);
}

/* function.c, under context->lock but for the first two. */

/* One to spare, NULL for no memory. */
struct broker_function *broker_function_new(void);
/* NULL is allowed. */
void broker_function_free(struct broker_function *function);
/* A live lease of its function, which may be the spare one from now on. */
void broker_function_join(struct broker_lease *lease, struct broker_function **spare);
/* The lease is live no more; the last one tells, where any of them went with the function. */
void broker_function_lease_ended(struct broker_lease *lease, bool is_gone);
/* The lease is forgotten. */
void broker_function_leave(struct broker_lease *lease);

struct p2pdma_publication {
	struct list link;
	struct broker *broker;
	int fd;
	uint64_t key; /* to find it again; never p2pd's */
	uint64_t id;  /* p2pd's; 0: it no longer publishes it */
	unsigned int nr_refused;
	bool is_attached;
	struct wire_publish wire;
};

/* Connects nothing yet. @path: NULL for p2pd's own. */
int broker_new(struct p2pdma_context *context, const char *path, uint32_t timeout_ms,
	       const int *epoll_fd, struct broker **ret_broker);
/* NULL is allowed. */
void broker_free(struct broker *broker);

/* broker.c and restore.c, all under context->lock, none blocks. */

/* Makes the descriptors that any use needs; -errno with its cause told. */
int broker_start(struct broker *broker);
/* Connects where that is due, gives up what takes too long, arms the timer. */
void broker_tick(struct broker *broker);
/* Takes at most @max packets; true when there may be more. */
bool broker_read(struct broker *broker, unsigned int max);
/* One request, with the next serial. 0, -EAGAIN, or an error that has ended the connection. */
int broker_send(struct broker *broker, uint16_t opcode, const void *body, size_t body_bytes,
		int fd_to_send, uint32_t *ret_serial);
/* Ends the connection; it is made again later where it is worth it. */
void broker_break(struct broker *broker, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void broker_wake(struct broker *broker);
/* Is somebody waiting for it, apart from callers? */
bool broker_is_wanted(const struct broker *broker);
/* Takes up the next thing, or is UP. */
void broker_restore(struct broker *broker);
/* A new lease; taken up where the connection of now doesn't have it. */
void broker_lease_linked(struct broker *broker, struct broker_lease *lease);
/* Something may have been added that the connection of now doesn't have. */
void broker_resume(struct broker *broker);
void broker_restore_reply(struct broker *broker, const struct message *reply);
/* The connection ends, for the reason that p2pd gives. */
void broker_refused(struct broker *broker, const struct message *reply);
void broker_lost_all(struct broker *broker);

/* call.c: block, with no lock held. */

/*
 * @header: opcode and the body's size. 0: it is answered, and not refused; then the caller has the one
 * request, and with it what was heard since, until broker_answered() or broker_end(). Else the
 * cause is told, and nothing is left to give back.
 */
int broker_ask(struct broker *broker, const struct wire_header *header, const void *body,
	       int fd_to_send, struct message *ret_reply);
/* Of a reply that comes without a descriptor; -EPROTO with the cause. */
int broker_load(struct broker *broker, const struct message *reply, void *ret_body,
		size_t known_bytes);
/* Gives the reply back, with what it may have brought, and the request. */
void broker_answered(struct broker *broker, struct message *reply);
/* The request alone; message_done() the reply. */
void broker_end(struct broker *broker);
/* Until there is a connection. */
int broker_wait_up(struct broker *broker);
/* All of it, for requests whose reply has a body of known size and no descriptor. */
int broker_call(struct p2pdma_context *context, uint16_t opcode, const void *body,
		size_t body_bytes, void *ret_body, size_t known_bytes);
/* The context's, or -EOPNOTSUPP for a direct one. */
int broker_of(struct p2pdma_context *context, struct broker **ret_broker);
/* 1: ask p2pd. 0: nobody is there, use device nodes. -errno: p2pd won't have us. */
int broker_is_there(struct p2pdma_context *context);
/* -EPROTO with the cause: what p2pd said makes no sense; the connection ends. */
int broker_lied(struct broker *broker, const char *what);

/* pool.c: leases of p2pmem */
int broker_pool_check(struct broker *broker, int fd);
/* How much a request is for; its ranges follow it. */
uint64_t broker_pool_wanted(const struct wire_acquire *wanted);
/* The buffer gets its memory out of the pool that @fd is of. Behind broker_end(). */
int broker_pool_allocate(struct p2pdma_buffer *buffer, int fd);

/* lease.c */
extern const struct backend backend_broker;
/* @request with its ranges behind it. */
int broker_acquire(struct p2pdma_context *context, const struct wire_acquire *request,
		   void *user_data, struct p2pdma_buffer **ret_buffer);
/* For p2pdma_buffer_new(). */
int broker_export(struct p2pdma_context *context, const char *selector,
		  const struct export_request *request, void *user_data,
		  struct p2pdma_buffer **ret_buffer);
/* The lease of a buffer; -EINVAL for NULL, -EOPNOTSUPP with the cause for another's. */
int broker_lease_query(const struct p2pdma_buffer *buffer, struct broker_lease **ret_lease);
/* Under context->lock. */
void broker_lease_event(struct broker *broker, const struct message *message);
void broker_lease_attached(struct broker_lease *lease, const struct wire_lease *wire);
void broker_lease_ended(struct broker_lease *lease, uint32_t reason, uint64_t time_ns);
struct broker_lease *broker_lease_find(struct broker *broker, uint64_t id);
uint32_t broker_reason(uint32_t wire_reason);
void broker_lease_info(const struct wire_lease *wire, struct p2pdma_lease_info *ret_info);
/* Texts end within their fields; the state is one we know. */
bool broker_lease_is_sound(const struct wire_lease *wire);

/* list.c: is what has this name to be had from p2pd? Not where that can't be asked. */
bool broker_leases(struct p2pdma_context *context, const char *name);

/* Copies a text of the caller; -EINVAL, with the cause, when it doesn't fit or isn't text. */
int broker_set_text(const struct p2pdma_context *context, char *field, size_t size,
		    const char *text, const char *what);
uint32_t broker_access(uint32_t buffer_flags);
uint32_t broker_acquire_flags(uint32_t buffer_flags);
uint32_t broker_backend(uint32_t wire_backend);

/* monitor.c, under context->lock. */
void broker_monitor_event(struct p2pdma_monitor *monitor, const struct message *message);
void broker_monitor_up(struct p2pdma_monitor *monitor);

#endif /* BROKER_H */
