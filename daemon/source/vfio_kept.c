// SPDX-License-Identifier: MIT
/*
 * Copies of VFIO's descriptors in the service manager's hands.
 *
 * A copy too few costs the leases of a function with this p2pd's end, which is said and gone on from. A
 * copy too many lets DMABUFs of a lease that is over come back to life, when the function is opened
 * again while it is there. So what is to be forgotten is said and asked for until that is known: whatever
 * keeps us from asking (no descriptor for the question, no memory, a queue that is full, an answer that a
 * datagram was lost) is waited out, a little longer each time. That ends where nobody is there any more
 * to have a copy: an address that nobody listens at, some times in a row, since one who comes back
 * with what he kept is away for a moment only.
 *
 *	said and asked -> answered: over
 *	   ^    |
 *	   |    v  not asked, or something was lost
 *	  waits
 *
 * To forget twice does nothing, so each try says all of it again.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "common/message.h"
#include "common/sys.h"
#include "state/service.h"
#include "vfio_kept.h"

#define FIRST_RETRY_MS 100U
#define MOST_DOUBLED   5  /* 3.2 s */
#define NOBODY_TRIES   3U /* over 700 ms */

static void try_to_forget(struct vfio_kept *kept);

/* -- notes -- */

void vfio_kept_begin(struct vfio_kept *kept)
{
	kept->nr_notes = 0;
}

void vfio_kept_note(struct vfio_kept *kept, const char *name, int fd)
{
	struct vfio_kept_note *note = &kept->notes[kept->nr_notes];

	if (kept->nr_notes == VFIO_KEPT_NOTES)
		return;
	kept->nr_notes++;
	wire_text_set(note->name, sizeof(note->name), name);
	note->fd = fd;
}

void vfio_kept_note_forget(struct vfio_kept *kept, const char *name)
{
	/* What wasn't said yet needn't be taken back. */
	for (size_t i = 0; i < kept->nr_notes; i++) {
		if (strcmp(kept->notes[i].name, name) != 0)
			continue;
		kept->notes[i] = kept->notes[--kept->nr_notes];
		return;
	}
	vfio_kept_note(kept, name, -1);
}

/* -- saying them -- */

static void say(const struct vfio_kept *kept)
{
	for (size_t i = 0; i < kept->nr_notes; i++) {
		if (kept->notes[i].fd >= 0)
			service_store(kept->notes[i].name, kept->notes[i].fd);
		else
			service_forget(kept->notes[i].name);
	}
}

static void end(struct vfio_kept *kept, int error)
{
	event_del(kept->retry);
	service_question_free(kept->question);
	kept->question = NULL;
	kept->nr_notes = 0;
	if (kept->is_late)
		kept->late(kept->data, NULL);
	kept->is_late = false;
	kept->over(kept->data, error);
}

/* Once: the next tries are no news. */
static void is_late(struct vfio_kept *kept, int error)
{
	if (kept->is_late)
		return;
	kept->is_late = true;
	snprintf(kept->why, sizeof(kept->why),
		 "the service manager doesn't say that it has closed p2pd's copy (%s)",
		 error_name(error));
	kept->late(kept->data, kept->why);
}

static bool is_nobody(int error)
{
	return error == -ECONNREFUSED || error == -ENOENT || error == -ECONNRESET ||
	       error == -ENOTCONN || error == -EPIPE;
}

/* Is it certain that there is no copy? */
static bool is_settled(struct vfio_kept *kept, int error)
{
	kept->nr_nobody = is_nobody(error) ? kept->nr_nobody + 1 : 0;
	return !error || error == -EOPNOTSUPP || kept->nr_nobody == NOBODY_TRIES;
}

static void later(struct vfio_kept *kept, int error)
{
	unsigned int nr_doubled = kept->nr_tries < MOST_DOUBLED ? kept->nr_tries : MOST_DOUBLED;
	unsigned int pause_ms = FIRST_RETRY_MS << nr_doubled;
	struct timeval pause = {.tv_sec = pause_ms / 1000, .tv_usec = pause_ms % 1000 * 1000};

	kept->nr_tries++;
	is_late(kept, error);
	event_add(kept->retry, &pause);
}

static void on_answer(void *data, int error)
{
	struct vfio_kept *kept = data;

	if (!kept->must_be_sure)
		end(kept, error);
	else if (error == -ETIMEDOUT)
		/* There is a second answer. */
		is_late(kept, error);
	else if (is_settled(kept, error))
		end(kept, error ? -EOPNOTSUPP : 0);
	else
		later(kept, error);
}

static int say_and_ask(struct vfio_kept *kept)
{
	size_t mark = service_mark();

	say(kept);
	return service_ask(mark, on_answer, kept, &kept->question);
}

static void try_to_forget(struct vfio_kept *kept)
{
	int r = say_and_ask(kept);

	if (!r)
		return;
	if (is_settled(kept, r))
		end(kept, -EOPNOTSUPP);
	else
		later(kept, r);
}

static void on_retry(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	try_to_forget(data);
}

void vfio_kept_keep(struct vfio_kept *kept)
{
	int r;

	kept->must_be_sure = false;
	r = say_and_ask(kept);
	if (r)
		end(kept, r);
}

void vfio_kept_forget(struct vfio_kept *kept)
{
	kept->must_be_sure = true;
	kept->nr_tries = kept->nr_nobody = 0;
	try_to_forget(kept);
}

bool vfio_kept_abandon(struct vfio_kept *kept)
{
	if (!kept->question && !event_pending(kept->retry, EV_TIMEOUT, NULL))
		return false;
	end(kept, -ESHUTDOWN);
	return true;
}

int vfio_kept_init(struct vfio_kept *kept, struct event_base *base)
{
	memset(kept, 0, sizeof(*kept));
	kept->retry = evtimer_new(base, on_retry, kept);
	return kept->retry ? 0 : -ENOMEM;
}

void vfio_kept_done(struct vfio_kept *kept)
{
	service_question_free(kept->question);
	kept->question = NULL;
	if (kept->retry)
		event_free(kept->retry);
	kept->retry = NULL;
}
