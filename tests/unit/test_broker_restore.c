// SPDX-License-Identifier: MIT
/* p2pd goes and comes back: the program notices nothing, or is told. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake_p2pd.h"
#include "fake_vfio.h"

static struct p2pdma_buffer *acquire(void)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffer = NULL;

	request.length_bytes = MIB;
	assert_int_equal(p2pdma_lease_acquire(p2pd_context(), &request, &buffer), 0);
	return buffer;
}

static uint32_t state_of(struct p2pdma_buffer *buffer)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;

	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	return status.state;
}

/* A program that only polls. */
static void poll_until(unsigned int attaches)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	for (int i = 0; i < 200 && p2pd_count(WIRE_ATTACH) < attaches; i++) {
		struct pollfd fd = {.fd = p2pdma_context_fd(p2pd_context()), .events = POLLIN};

		poll(&fd, 1, 1000);
		assert_int_equal(p2pdma_next_event(p2pd_context(), &event), -EAGAIN);
	}
	assert_int_equal(p2pd_count(WIRE_ATTACH), attaches);
}

static void restart_is_not_noticed(void **state)
{
	struct p2pdma_buffer *a = acquire(), *b = acquire();
	struct p2pdma_mr *mr = NULL;
	struct wire_attach wire;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), a, 0, MIB, 0, 0, &mr), 0);
	p2pd_stop();
	poll_until(0);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	p2pd_start();
	poll_until(2);
	p2pd_last(WIRE_ATTACH, &wire, sizeof(wire));
	assert_int_equal(wire.lease_id, 2);
	assert_int_equal(wire.token[0], 2);
	assert_int_equal(state_of(a), P2PDMA_BUFFER_ACTIVE);
	assert_int_equal(state_of(b), P2PDMA_BUFFER_ACTIVE);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	/* And over again. */
	p2pd_stop();
	p2pd_start();
	poll_until(4);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 2);
}

static void restart_during_a_call_is_waited_for(void **state)
{
	struct p2pdma_buffer *buffer = acquire();

	(void)state;
	p2pd_stop();
	p2pd_start();
	assert_int_equal(p2pdma_lease_renew(buffer, 0), 0);
	assert_int_equal(p2pd_count(WIRE_ATTACH), 1);
	p2pd_twist(WIRE_RENEW, TWIST_DROP, 0, 1);
	assert_int_equal(p2pdma_lease_renew(buffer, 0), 0);
	assert_int_equal(p2pd_count(WIRE_ATTACH), 2);
	p2pdma_buffer_free(buffer);
}

static void away_for_long_etimedout(void **state)
{
	struct p2pdma_buffer *buffer = acquire();

	(void)state;
	p2pd_stop();
	assert_int_equal(p2pdma_lease_renew(buffer, 0), -ETIMEDOUT);
	assert_p2pd_cause("p2pd isn't there");
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), -ETIMEDOUT);
	assert_int_equal(state_of(buffer), P2PDMA_BUFFER_REVOKING);
	/* It isn't taken up again, and freeing it waits for nobody. */
	p2pdma_buffer_free(buffer);
	p2pd_start();
	usleep(100000);
	assert_int_equal(p2pd_count(WIRE_ATTACH), 0);
}

static void forgotten_is_revoked(void **state)
{
	struct p2pdma_buffer *a = acquire(), *b = acquire();
	struct p2pdma_event event;
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), a, 0, MIB, 0, 0, &mr), 0);
	p2pd_stop();
	p2pd_forget();
	p2pd_start();
	for (int i = 0; i < 2; i++) {
		event = p2pd_next_event();
		assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
		assert_int_equal(event.reason, P2PDMA_REASON_BROKER);
	}
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(state_of(b), P2PDMA_BUFFER_REVOKED);
	/* The connection is good. */
	p2pdma_buffer_free(acquire());
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static void revoked_meanwhile_is_told(void **state)
{
	struct p2pdma_buffer *a = acquire(), *b = acquire(), *c = acquire();
	struct p2pdma_event event;

	(void)state;
	p2pd_stop();
	p2pd_set_state(1, WIRE_LEASE_REVOKED, WIRE_REASON_EXPIRED, 0);
	p2pd_set_state(2, WIRE_LEASE_REVOKING, WIRE_REASON_DRAIN, 777);
	p2pd_twist(WIRE_ATTACH, TWIST_NONE, 0, 2);
	p2pd_twist(WIRE_ATTACH, TWIST_ERROR, -ENODEV, 1);
	p2pd_start();
	event = p2pd_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_EXPIRED);
	assert_ptr_equal(event.buffer, a);
	event = p2pd_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKE_REQUESTED);
	assert_int_equal(event.deadline_ns, 777);
	assert_ptr_equal(event.buffer, b);
	event = p2pd_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_REMOVE);
	assert_int_equal(state_of(c), P2PDMA_BUFFER_GONE);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
	p2pdma_buffer_free(c);
}

static void attach_too_early_is_tried_again(void **state)
{
	struct p2pdma_buffer *buffer = acquire();

	(void)state;
	p2pd_twist(WIRE_ATTACH, TWIST_ERROR, -EBUSY, 2);
	p2pd_stop();
	p2pd_start();
	poll_until(3);
	assert_int_equal(state_of(buffer), P2PDMA_BUFFER_ACTIVE);
	p2pdma_buffer_free(buffer);
}

static void attach_broken_reply_is_tried_again(void **state)
{
	static const enum fake_twist twists[] = {TWIST_SHORT, TWIST_BODY, TWIST_OPCODE,
						 TWIST_SERIAL, TWIST_DROP};
	struct p2pdma_buffer *buffer = acquire();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(twists); i++) {
		p2pd_twist(WIRE_ATTACH, twists[i], 0, 1);
		p2pd_stop();
		p2pd_start();
		poll_until(2 * (unsigned int)(i + 1));
		assert_int_equal(p2pdma_lease_renew(buffer, 0), 0);
		assert_int_equal(state_of(buffer), P2PDMA_BUFFER_ACTIVE);
	}
	p2pdma_buffer_free(buffer);
}

static void hello_silent_is_tried_again(void **state)
{
	struct p2pdma_buffer *buffer = acquire();

	(void)state;
	p2pd_twist(WIRE_HELLO, TWIST_SILENT, 0, 1);
	p2pd_stop();
	p2pd_start();
	poll_until(1);
	p2pdma_buffer_free(buffer);
}

static void freed_during_restoring_is_released(void **state)
{
	struct p2pdma_buffer *a = acquire(), *b = acquire();
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	p2pd_twist(WIRE_ATTACH, TWIST_LATE, 300, 1);
	p2pd_stop();
	p2pd_start();
	while (!p2pd_count(WIRE_HELLO) || p2pd_count(WIRE_HELLO) < 2)
		p2pdma_next_event(*state, &event);
	for (int i = 0; i < 20; i++) {
		p2pdma_next_event(*state, &event);
		usleep(5000);
	}
	p2pdma_buffer_free(a);
	poll_until(2);
	p2pd_wait_for(p2pd_count(WIRE_RELEASE) == 1);
	assert_int_equal(state_of(b), P2PDMA_BUFFER_ACTIVE);
	p2pdma_buffer_free(b);
}

static void publication_is_published_again(void **state)
{
	struct p2pdma_publish_options options = P2PDMA_PUBLISH_OPTIONS_INIT;
	struct p2pdma_publication *publication = NULL;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	int fd = fake_make_dmabuf(MIB);
	struct wire_publish wire;
	struct wire_lease_id id;

	options.name = "frames";
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), 0);
	fake_sys.close(fd);
	/* At first the daemon hasn't noticed that the connection was lost. */
	p2pd_twist(WIRE_PUBLISH, TWIST_ERROR, -EBUSY, 1);
	p2pd_last(WIRE_PUBLISH, &wire, sizeof(wire));
	assert_string_equal(wire.name, "frames");
	assert_int_equal(wire.mode, WIRE_MODE_SHARED);
	assert_int_equal(wire.uid, UINT32_MAX);
	p2pd_stop();
	p2pd_start();
	for (int i = 0; i < 200 && p2pd_count(WIRE_PUBLISH) < 3; i++) {
		p2pdma_next_event(*state, &event);
		usleep(5000);
	}
	assert_int_equal(p2pd_count(WIRE_PUBLISH), 3);
	for (int i = 0; i < 20; i++) {
		p2pdma_next_event(*state, &event);
		usleep(2000);
	}
	p2pdma_publication_free(publication);
	assert_int_equal(p2pd_count(WIRE_UNPUBLISH), 1);
	p2pd_last(WIRE_UNPUBLISH, &id, sizeof(id));
	assert_int_equal(id.lease_id, 9);
}

static void withdrawn_during_restoring_is_unpublished(void **state)
{
	struct p2pdma_publish_options options = P2PDMA_PUBLISH_OPTIONS_INIT;
	struct p2pdma_publication *a = NULL, *b = NULL;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	int fd = fake_make_dmabuf(MIB);

	options.name = "a";
	assert_int_equal(p2pdma_publish(*state, fd, &options, &a), 0);
	options.name = "b";
	assert_int_equal(p2pdma_publish(*state, fd, &options, &b), 0);
	fake_sys.close(fd);
	p2pd_twist(WIRE_PUBLISH, TWIST_LATE, 200, 1);
	p2pd_stop();
	p2pd_start();
	while (p2pd_count(WIRE_PUBLISH) < 3)
		p2pdma_next_event(*state, &event);
	/* Its reply is under way, and belongs to nobody any more. */
	p2pdma_publication_free(a);
	while (p2pd_count(WIRE_PUBLISH) < 4)
		p2pdma_next_event(*state, &event);
	p2pd_wait_for(p2pd_count(WIRE_UNPUBLISH) == 1);
	p2pdma_publication_free(b);
}

static void publish_bad_options_einval(void **state)
{
	const struct p2pdma_publish_options good = P2PDMA_PUBLISH_OPTIONS_INIT;
	struct p2pdma_publication *publication = NULL;
	struct p2pdma_publish_options options = good;
	int fd = fake_make_dmabuf(MIB);

	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EINVAL);
	options.name = "a name";
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EINVAL);
	options.name = "a/name";
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EINVAL);
	options.name = "name";
	options.mode = 0;
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EINVAL);
	options.mode = P2PDMA_LEASE_EXCLUSIVE;
	options.flags = P2PDMA_BUFFER_MMAP_WC;
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EINVAL);
	options.flags = P2PDMA_BUFFER_READ_ONLY;
	assert_int_equal(p2pdma_publish(*state, 0, &options, &publication), -EINVAL);
	assert_p2pd_cause("no DMABUF");
	assert_int_equal(p2pdma_publish(*state, 999, &options, &publication), -EBADF);
	p2pd_twist(WIRE_PUBLISH, TWIST_ERROR, -EBUSY, 1);
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EBUSY);
	p2pd_twist(WIRE_PUBLISH, TWIST_SHORT, 0, 1);
	assert_int_equal(p2pdma_publish(*state, fd, &options, &publication), -EPROTO);
	p2pdma_publication_free(NULL);
	fake_sys.close(fd);
}

static void close_before_buffers_is_deaf(void **state)
{
	struct p2pdma_context *context = NULL;
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	context = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	request.length_bytes = MIB;
	assert_int_equal(p2pdma_lease_acquire(context, &request, &buffer), 0);
	p2pdma_context_close(context);
	p2pd_stop();
	p2pd_start();
	/* No event any more, but calls still find their way. */
	assert_int_equal(p2pdma_lease_renew(buffer, 0), 0);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, p2pd_setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(restart_is_not_noticed),
		CASE(restart_during_a_call_is_waited_for),
		CASE(away_for_long_etimedout),
		CASE(forgotten_is_revoked),
		CASE(revoked_meanwhile_is_told),
		CASE(attach_too_early_is_tried_again),
		CASE(attach_broken_reply_is_tried_again),
		CASE(hello_silent_is_tried_again),
		CASE(freed_during_restoring_is_released),
		CASE(publication_is_published_again),
		CASE(withdrawn_during_restoring_is_unpublished),
		CASE(publish_bad_options_einval),
		CASE(close_before_buffers_is_deaf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
