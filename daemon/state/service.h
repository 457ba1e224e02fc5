/* SPDX-License-Identifier: MIT */
#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;

/*
 * Whoever started us and outlives us: systemd, or p2pd-keeper where there is none. Both
 * keep descriptors for the next p2pd and speak the same protocol (sd_notify(3),
 * sd_listen_fds(3)). Nothing here waits: what they don't take yet goes out when they do.
 */

/* -- what was passed to us (service_fds.c) -- */

/* One descriptor. */
struct service_fd {
	char *name;
	int fd;
};

struct service_fds {
	struct service_fd *fds;
	size_t count;
};

/* Everything passed to us, close-on-exec; none is fine. */
int service_receive(struct service_fds *ret_fds);
/* Takes one out by name: its descriptor, or -1. */
int service_take(struct service_fds *fds, const char *name);
/* Takes the listening socket out. -1: none was passed. */
int service_take_socket(struct service_fds *fds);
/* Closes what nobody took, and has it forgotten. */
void service_fds_done(struct service_fds *fds);

/* -- telling and asking (service.c) -- */

/* Before and after this nobody is told anything. What is still to be said goes out while @base runs. */
int service_init(struct event_base *base);
void service_done(void);

/* Does anybody keep descriptors for us? */
bool service_keeps(void);

/*
 * 0: all that was said before the question has been done. -ETIMEDOUT: not in some seconds, and if it
 * is done after all there is a second answer. -EIO: some of it was lost.
 */
typedef void (*service_answer_fn)(void *data, int error);
struct service_question;

/* Where what a question is about begins: what is lost from here on is told by its answer. */
size_t service_mark(void);
/*
 * @answer is called from the loop, never from in here. *@ret_question must stay where it is: it is
 * NULL again when the last answer comes. -EOPNOTSUPP: nobody is there.
 */
int service_ask(size_t mark, service_answer_fn answer, void *data,
		struct service_question **ret_question);
/* Who asked isn't interested any more. NULL is fine. */
void service_question_free(struct service_question *question);

/*
 * Has the descriptor kept whatever happens to us; what depends on it waits for the answer.
 * -EOPNOTSUPP: nobody keeps.
 */
int service_keep(const char *name, int fd, service_answer_fn answer, void *data,
		 struct service_question **ret_question);
/* The same without a question, for several that one is enough for. */
int service_store(const char *name, int fd);
void service_forget(const char *name);

void service_ready(void);
void service_reloading(void);
void service_stopping(void);
void service_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* SERVICE_H */
