// SPDX-License-Identifier: MIT
/*
 * What the service manager has of VFIO, with a service manager that fails in every way there is: a copy
 * that may still be there is never taken for one that is closed.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "common/clock.h"
#include "core.h"
#include "state/service.h"
#include "source/vfio_kept.h"

struct service_question {
	service_answer_fn answer;
	void *data;
};

static struct {
	/* Of the next questions; where they end, and where it is 0, it is asked. */
	const int *errors;
	size_t nr_errors;
	size_t nr_asked;
	size_t nr_forgotten, nr_stored;
	size_t nr_lost; /* also by what is said from now on, if it is to be lost */
	bool is_lossy;
	struct service_question question;
	struct service_question **owner;
} manager;

static struct {
	struct event_base *base;
	struct vfio_kept kept;
	int error; /* 1: it isn't over */
	size_t nr_late, nr_on_time;
	char why[128];
} f;

/* -- the service manager -- */

size_t service_mark(void)
{
	return manager.nr_lost;
}

int service_store(const char *name, int fd)
{
	assert_true(*name && fd >= 0);
	manager.nr_stored++;
	manager.nr_lost += manager.is_lossy;
	return manager.is_lossy ? -ENOMEM : 0;
}

void service_forget(const char *name)
{
	assert_string_equal(name, "dev");
	manager.nr_forgotten++;
	manager.nr_lost += manager.is_lossy;
}

int service_ask(size_t mark, service_answer_fn answer, void *data,
		struct service_question **ret_question)
{
	int error = manager.nr_asked < manager.nr_errors ? manager.errors[manager.nr_asked] : 0;

	manager.nr_asked++;
	if (error)
		return error;
	/* It must be about all that was said. */
	assert_int_equal(mark, manager.is_lossy ? manager.nr_lost - 1 : manager.nr_lost);
	manager.question = (struct service_question){.answer = answer, .data = data};
	manager.owner = ret_question;
	*ret_question = &manager.question;
	return 0;
}

void service_question_free(struct service_question *question)
{
	assert_true(!question || question == &manager.question);
}

static void answer(int error)
{
	assert_non_null(*manager.owner);
	if (error != -ETIMEDOUT)
		*manager.owner = NULL;
	manager.question.answer(manager.question.data, error);
}

/* -- whoever asks -- */

static void on_over(void *data, int error)
{
	assert_ptr_equal(data, &f);
	assert_int_equal(f.error, 1);
	f.error = error;
}

static void on_late(void *data, const char *why)
{
	assert_ptr_equal(data, &f);
	if (why) {
		f.nr_late++;
		strcpy(f.why, why);
	} else {
		f.nr_on_time++;
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&manager, 0, sizeof(manager));
	memset(&f, 0, sizeof(f));
	f.base = event_base_new();
	assert_int_equal(vfio_kept_init(&f.kept, f.base), 0);
	f.kept.over = on_over;
	f.kept.late = on_late;
	f.kept.data = &f;
	f.error = 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vfio_kept_done(&f.kept);
	event_base_free(f.base);
	return 0;
}

static void forget(const int *errors, size_t nr_errors)
{
	manager.errors = errors;
	manager.nr_errors = nr_errors;
	vfio_kept_note_forget(&f.kept, "dev");
	vfio_kept_forget(&f.kept);
}

/* Until it has asked that often. */
static void asked(size_t count)
{
	uint64_t end_ns = clock_now_ns() + 5000 * NS_PER_MS;

	while (manager.nr_asked < count && clock_now_ns() < end_ns)
		event_base_loop(f.base, EVLOOP_ONCE);
	assert_int_equal(manager.nr_asked, count);
}

static void forget_answered_is_over(void **state)
{
	(void)state;
	forget(NULL, 0);
	assert_int_equal(f.error, 1);
	answer(0);
	assert_int_equal(f.error, 0);
	assert_int_equal(f.nr_late + f.nr_on_time, 0);
}

/* Of none of these anything is known. */
static void forget_that_cannot_be_asked_is_tried_again(void **state)
{
	static const int errors[] = {-ENOBUFS, -ENOMEM, -EMFILE, -EIO};

	(void)state;
	forget(errors, 4);
	assert_int_equal(f.error, 1);
	assert_int_equal(f.nr_late, 1);
	assert_non_null(strstr(f.why, "ENOBUFS"));
	asked(5);
	assert_int_equal(f.error, 1);
	assert_int_equal(manager.nr_forgotten, 5);
	answer(0);
	assert_int_equal(f.error, 0);
	assert_int_equal(f.nr_late, 1);
	assert_int_equal(f.nr_on_time, 1);
}

static void forget_of_which_something_was_lost_is_said_again(void **state)
{
	(void)state;
	manager.is_lossy = true;
	forget(NULL, 0);
	answer(-EIO);
	assert_int_equal(f.error, 1);
	manager.is_lossy = false;
	asked(2);
	assert_int_equal(manager.nr_forgotten, 2);
	answer(0);
	assert_int_equal(f.error, 0);
}

static void forget_that_is_late_has_a_second_answer(void **state)
{
	(void)state;
	forget(NULL, 0);
	answer(-ETIMEDOUT);
	answer(-ETIMEDOUT);
	assert_int_equal(f.error, 1);
	assert_int_equal(f.nr_late, 1);
	answer(0);
	assert_int_equal(f.error, 0);
	assert_int_equal(manager.nr_asked, 1);
}

static void forget_where_nobody_is_there_ends(void **state)
{
	static const int errors[] = {-ECONNREFUSED, -ENOENT, -ECONNREFUSED};

	(void)state;
	forget(errors, 3);
	assert_int_equal(f.error, 1);
	asked(3);
	assert_int_equal(f.error, -EOPNOTSUPP);
}

/* He may have brought along what he kept. */
static void forget_of_one_who_comes_back_waits(void **state)
{
	static const int errors[] = {-ECONNREFUSED, -ECONNREFUSED, -EMFILE, -ECONNREFUSED};

	(void)state;
	forget(errors, 4);
	asked(5);
	assert_int_equal(f.error, 1);
	answer(0);
	assert_int_equal(f.error, 0);
}

static void forget_where_nobody_keeps_is_over(void **state)
{
	static const int errors[] = {-EOPNOTSUPP};

	(void)state;
	forget(errors, 1);
	assert_int_equal(f.error, -EOPNOTSUPP);
	assert_int_equal(f.nr_late, 0);
}

static void abandon_ends_what_waits(void **state)
{
	static const int errors[] = {-EMFILE};

	(void)state;
	assert_false(vfio_kept_abandon(&f.kept));
	forget(errors, 1);
	assert_true(vfio_kept_abandon(&f.kept));
	assert_int_equal(f.error, -ESHUTDOWN);
	assert_false(vfio_kept_abandon(&f.kept));
	f.error = 1;
	manager.nr_errors = 0;
	vfio_kept_note_forget(&f.kept, "dev");
	vfio_kept_forget(&f.kept);
	assert_true(vfio_kept_abandon(&f.kept));
	assert_int_equal(f.error, -ESHUTDOWN);
}

static void keep_says_all_and_asks_once(void **state)
{
	(void)state;
	vfio_kept_note(&f.kept, "group", 3);
	vfio_kept_note(&f.kept, "dev", 4);
	vfio_kept_keep(&f.kept);
	assert_int_equal(manager.nr_stored, 2);
	assert_int_equal(manager.nr_asked, 1);
	answer(0);
	assert_int_equal(f.error, 0);
}

/* What isn't kept is said and gone on from: at once, or when its time is over. */
static void keep_that_fails_is_over(void **state)
{
	static const int errors[] = {-EMFILE};

	(void)state;
	manager.errors = errors;
	manager.nr_errors = 1;
	vfio_kept_note(&f.kept, "dev", 4);
	vfio_kept_keep(&f.kept);
	assert_int_equal(f.error, -EMFILE);
	f.error = 1;
	vfio_kept_note(&f.kept, "dev", 4);
	vfio_kept_keep(&f.kept);
	answer(-ETIMEDOUT);
	assert_int_equal(f.error, -ETIMEDOUT);
	assert_int_equal(f.nr_late, 0);
}

/* The group was lost, and only the function was sent: that isn't "kept". */
static void keep_asks_about_all_that_was_noted(void **state)
{
	(void)state;
	manager.is_lossy = true;
	vfio_kept_note(&f.kept, "dev", 4);
	vfio_kept_keep(&f.kept);
	answer(-EIO);
	assert_int_equal(f.error, -EIO);
}

static void note_forget_takes_back_what_was_not_said(void **state)
{
	(void)state;
	vfio_kept_note(&f.kept, "group", 3);
	vfio_kept_note_forget(&f.kept, "group");
	assert_int_equal(f.kept.nr_notes, 0);
	vfio_kept_note_forget(&f.kept, "dev");
	assert_int_equal(f.kept.nr_notes, 1);
	vfio_kept_begin(&f.kept);
	assert_int_equal(f.kept.nr_notes, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(forget_answered_is_over),
		CASE(forget_that_cannot_be_asked_is_tried_again),
		CASE(forget_of_which_something_was_lost_is_said_again),
		CASE(forget_that_is_late_has_a_second_answer),
		CASE(forget_where_nobody_is_there_ends),
		CASE(forget_of_one_who_comes_back_waits),
		CASE(forget_where_nobody_keeps_is_over),
		CASE(abandon_ends_what_waits),
		CASE(keep_says_all_and_asks_once),
		CASE(keep_that_fails_is_over),
		CASE(keep_asks_about_all_that_was_noted),
		CASE(note_forget_takes_back_what_was_not_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
