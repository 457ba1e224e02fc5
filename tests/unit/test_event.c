// SPDX-License-Identifier: MIT
/* Events: what the kernel says becomes what the program hears, once, in order. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "backend/export.h"
#include "event/queue.h"
#include "fake.h"
#include "event/hotplug.h"

static int is_readable(void)
{
	struct pollfd poll_fd = {p2pdma_context_fd(fake_context()), POLLIN, 0};

	return poll(&poll_fd, 1, 0) == 1;
}

static void next_none_eagain(void **state)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	assert_int_equal(p2pdma_next_event(NULL, &event), -EINVAL);
	assert_int_equal(p2pdma_next_event(*state, NULL), -EINVAL);
	event.size_bytes = 8;
	assert_int_equal(p2pdma_next_event(*state, &event), -EINVAL);
}

static void attach_names_importer(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_export_event record = {
		.size = sizeof(record),
		.type = P2PDMA_EXPORT_EVENT_ATTACHED,
		.flags = P2PDMA_EXPORT_EVENT_HAS_CLIENT,
		.export_id = 1,
		.client_bus = 2,
		.client_devfn = 0x10,
		.time_ns = 77,
	};
	struct p2pdma_event event;

	(void)state;
	fake_event_record(&record);
	record.type = P2PDMA_EXPORT_EVENT_DETACHED;
	record.flags = 0;
	fake_event_record(&record);
	assert_true(is_readable());
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_ATTACHED);
	assert_string_equal(event.importer, "0000:02:02.0");
	assert_string_equal(event.function, "0000:01:00.0");
	assert_ptr_equal(event.buffer, buffer);
	assert_int_equal(event.time_ns, 77);
	/* The second was read with the first; the descriptor still says that it is there. */
	assert_true(is_readable());
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_DETACHED);
	assert_string_equal(event.importer, "");
	assert_false(is_readable());
	p2pdma_buffer_free(buffer);
}

static void revoked_by_reset_is_stale(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *mr = NULL;
	struct p2pdma_event event;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	fake_event(P2PDMA_EXPORT_EVENT_REVOKED, 1, P2PDMA_EXPORT_REASON_RESET);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_RESET);
	assert_int_equal(event.time_ns, 1234);
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
}

static void device_leaves_everyone_told_once(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0), *b = fake_buffer(MIB, MIB, 0);
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_event event;

	(void)state;
	fake_leave();
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_ptr_equal(event.buffer, a);
	event = fake_next_event();
	assert_ptr_equal(event.buffer, b);
	assert_int_equal(event.reason, P2PDMA_REASON_REMOVE);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_DEVICE_GONE);
	assert_null(event.buffer);
	assert_string_equal(event.function, "0000:01:00.0");
	fake_no_event();
	/* A file at its end would make the descriptor readable for ever. */
	assert_false(is_readable());
	assert_int_equal(p2pdma_buffer_query(a, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_GONE);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static void end_of_file_without_events_is_gone(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	close(fake.event_fd);
	fake.event_fd = -1;
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_DEVICE_GONE);
	assert_false(is_readable());
	p2pdma_buffer_free(buffer);
}

static void new_after_device_left_opens_again(void **state)
{
	struct p2pdma_buffer *old = fake_buffer(0, MIB, 0), *new;

	(void)state;
	fake_leave();
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	fake.is_gone = false;
	fake_replace_function("0000:01:00.0", "p2pdma_export");
	new = fake_buffer(0, MIB, 0);
	assert_int_equal(fake.nr_opens, 2);
	assert_int_equal(p2pdma_buffer_revoke(new, 0, 0, NULL), 0);
	p2pdma_buffer_free(new);
	p2pdma_buffer_free(old);
}

static void removal_pending_requests_revoke(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, P2PDMA_BUFFER_ALLOW_UNREVOCABLE);
	struct p2pdma_event event;
	void *address;

	(void)state;
	fake.exports[0].state = P2PDMA_EXPORT_STATE_REVOKING;
	fake.exports[0].reason = P2PDMA_EXPORT_REASON_REMOVE;
	fake_event(P2PDMA_EXPORT_EVENT_REMOVAL_PENDING, 1, P2PDMA_EXPORT_REASON_REMOVE);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKE_REQUESTED);
	assert_ptr_equal(event.buffer, buffer);
	assert_int_equal(event.deadline_ns, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, P2PDMA_MAP_READ, &address), -ENODEV);
	p2pdma_buffer_free(buffer);
}

static void lost_events_are_made_up_for(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0), *b = fake_buffer(MIB, MIB, 0);
	struct p2pdma_export_event record = {
		.size = sizeof(record),
		.type = P2PDMA_EXPORT_EVENT_ATTACHED,
		.export_id = 2,
		.lost = 5,
	};
	struct p2pdma_event event;

	(void)state;
	/* a was revoked, and that event is among those that were lost. */
	fake.exports[0].state = P2PDMA_EXPORT_STATE_REVOKED;
	fake.exports[0].reason = P2PDMA_EXPORT_REASON_SUSPEND;
	fake_event_record(&record);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_ptr_equal(event.buffer, a);
	assert_int_equal(event.reason, P2PDMA_REASON_SUSPEND);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_ATTACHED);
	assert_int_equal(event.lost, 5);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static void free_drops_its_events(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0), *other = fake_buffer(MIB, MIB, 0);

	(void)state;
	fake_event(P2PDMA_EXPORT_EVENT_ATTACHED, 1, 0);
	fake_event(P2PDMA_EXPORT_EVENT_ATTACHED, 2, 0);
	fake_event(P2PDMA_EXPORT_EVENT_DETACHED, 1, 0);
	assert_ptr_equal(fake_next_event().buffer, buffer);
	p2pdma_buffer_free(buffer);
	assert_ptr_equal(fake_next_event().buffer, other);
	fake_no_event();
	p2pdma_buffer_free(other);
}

static void records_malformed_ignored(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct export_device *export = export_device_of(buffer->device);
	struct {
		struct p2pdma_export_event record;
		char more[8];
	} newer = {{.size = sizeof(newer), .type = P2PDMA_EXPORT_EVENT_ATTACHED, .export_id = 1},
		   "new"};
	struct p2pdma_export_event records[2] = {
		{.size = sizeof(records[0]), .type = 99, .export_id = 1},
		{.size = 4, .type = P2PDMA_EXPORT_EVENT_REVOKED, .export_id = 1},
	};

	(void)state;
	pthread_mutex_lock(&fake_context()->lock);
	export_take_records(export, (unsigned char *)&newer, sizeof(newer));
	export_take_records(export, (unsigned char *)records, sizeof(records));
	records[1].size = 4096;
	export_take_records(export, (unsigned char *)&records[1], sizeof(records[1]));
	export_take_records(export, (unsigned char *)&records[1], 3);
	pthread_mutex_unlock(&fake_context()->lock);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_ATTACHED);
	fake_no_event();
	p2pdma_buffer_free(buffer);
}

static void queue_bounded_for_information_only(void **state)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT, taken;
	struct p2pdma_context *context = *state;
	unsigned int count = 0;

	pthread_mutex_lock(&context->lock);
	event.type = P2PDMA_EVENT_ATTACHED;
	for (int i = 0; i < 5000; i++)
		event_queue_push(context, &event);
	event.type = P2PDMA_EVENT_ERROR;
	event_queue_push(context, &event);
	pthread_mutex_unlock(&context->lock);
	do {
		taken = fake_next_event();
		count++;
	} while (taken.type != P2PDMA_EVENT_ERROR);
	assert_in_range(count, 100, 4000);
	assert_int_equal(taken.lost, 5001 - count);
	fake_no_event();
}

static void hotplug_tells_functions(void **state)
{
	struct p2pdma_context *context = *state;
	struct p2pdma_event event;

	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "add", "0000:07:00.0");
	hotplug_handle(context, "change", "0000:07:00.0");
	hotplug_handle(context, "add", "pci0000:00");
	hotplug_handle(context, "remove", "0000:07:00.0");
	pthread_mutex_unlock(&context->lock);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_FUNCTION_ADDED);
	assert_string_equal(event.function, "0000:07:00.0");
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_FUNCTION_GONE);
	fake_no_event();
}

static void hotplug_remove_ends_buffers_of_that_arrival(void **state)
{
	struct p2pdma_context *context = *state;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	/* Heard late: the function is still, or again, the one that was opened. */
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "remove", "0000:01:00.0");
	pthread_mutex_unlock(&context->lock);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_FUNCTION_GONE);
	fake_no_event();
	fake_remove_function("0000:01:00.0");
	pthread_mutex_lock(&context->lock);
	hotplug_handle(context, "remove", "0000:01:00.0");
	pthread_mutex_unlock(&context->lock);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_DEVICE_GONE);
	p2pdma_buffer_free(buffer);
}

static void names_known_and_unknown(void **state)
{
	(void)state;
	assert_string_equal(p2pdma_event_name(P2PDMA_EVENT_REVOKE_REQUESTED), "revoke-requested");
	assert_string_equal(p2pdma_event_name(P2PDMA_EVENT_FUNCTION_GONE), "function-gone");
	assert_string_equal(p2pdma_event_name(1000), "unknown");
	assert_string_equal(p2pdma_reason_name(P2PDMA_REASON_SHUTDOWN), "shutdown");
	assert_string_equal(p2pdma_reason_name(1000), "unknown");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(next_none_eagain),
		CASE(attach_names_importer),
		CASE(revoked_by_reset_is_stale),
		CASE(device_leaves_everyone_told_once),
		CASE(end_of_file_without_events_is_gone),
		CASE(new_after_device_left_opens_again),
		CASE(removal_pending_requests_revoke),
		CASE(lost_events_are_made_up_for),
		CASE(free_drops_its_events),
		CASE(records_malformed_ignored),
		CASE(queue_bounded_for_information_only),
		CASE(hotplug_tells_functions),
		CASE(hotplug_remove_ends_buffers_of_that_arrival),
		CASE(names_known_and_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
