// SPDX-License-Identifier: MIT
/* Leases: asking for them, and what comes of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake_p2pd.h"

static void acquire_by_need_is_a_buffer(void **state)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;
	struct p2pdma_lease_info info;
	struct wire_acquire wire;
	void *address;
	int here;

	request.selector = "class:0302";
	request.importer = "mlx5_0";
	request.label = "weights";
	request.mode = P2PDMA_LEASE_SHARED;
	request.flags = P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE;
	request.length_bytes = 4 * MIB;
	request.align_bytes = 2 * MIB;
	request.ttl_ms = 5000;
	request.user_data = &here;
	assert_int_equal(p2pdma_lease_acquire(*state, &request, &buffer), 0);
	assert_int_equal(p2pd_last(WIRE_ACQUIRE, &wire, sizeof(wire)), sizeof(wire));
	assert_string_equal(wire.selector, "class:0302");
	assert_string_equal(wire.importer, "mlx5_0");
	assert_int_equal(wire.mode, WIRE_MODE_SHARED);
	assert_int_equal(wire.access, WIRE_ACCESS_READ | WIRE_ACCESS_WRITE);
	assert_int_equal(wire.flags, WIRE_ACQUIRE_MMAP_WC | WIRE_ACQUIRE_ALLOW_UNREVOCABLE);
	assert_int_equal(wire.align_bytes, 2 * MIB);

	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_BROKER);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 4 * MIB);
	assert_string_equal(p2pdma_buffer_name(buffer), "0000:01:00.0/2@77");
	assert_ptr_equal(p2pdma_buffer_user_data(buffer), &here);
	assert_int_equal(fcntl(p2pdma_buffer_fd(buffer), F_GETFD), FD_CLOEXEC);
	info = p2pd_lease_info(buffer);
	assert_int_equal(info.id, 1);
	assert_int_equal(info.state, P2PDMA_LEASE_ACTIVE);
	assert_int_equal(info.force, P2PDMA_LEASE_FORCE_LEASE);
	assert_int_equal(info.backend, P2PDMA_BACKEND_EXPORT);
	assert_int_equal(info.flags, request.flags);
	assert_int_equal(info.length_bytes, 4 * MIB);
	assert_int_equal(info.expires_ns, 5000000000);
	assert_string_equal(info.label, "weights");

	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, 4096, P2PDMA_MAP_WRITE, &address), 0);
	*(volatile char *)address = 1;
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 1);
}

static void new_auto_asks_p2pd(void **state)
{
	struct p2pdma_range ranges[2] = {{0, 4096}, {MIB, 8192}};
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_buffer *buffer = NULL;
	struct {
		struct wire_acquire wire;
		struct wire_range ranges[2];
	} got;

	options.flags = P2PDMA_BUFFER_READ_ONLY;
	assert_int_equal(p2pdma_provider_find(*state, "0000:01:00.0/2", &provider), 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, 2, &options, &buffer), 0);
	assert_int_equal(p2pd_last(WIRE_ACQUIRE, &got, sizeof(got)), sizeof(got));
	assert_string_equal(got.wire.selector, p2pdma_provider_unique_name(provider));
	assert_int_equal(got.wire.mode, WIRE_MODE_EXCLUSIVE);
	assert_int_equal(got.wire.access, WIRE_ACCESS_READ);
	assert_int_equal(got.wire.nr_ranges, 2);
	assert_int_equal(got.ranges[1].offset_bytes, MIB);
	assert_int_equal(got.ranges[1].length_bytes, 8192);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 12288);
	assert_int_equal(fake.nr_opens, 0);
	p2pdma_buffer_free(buffer);

	/* Policy says no: that is the answer, though the device node could be opened. */
	p2pd_twist(WIRE_ACQUIRE, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), -EACCES);
	assert_string_equal(p2pdma_context_error(*state), "p2pd's own sentence");
	assert_int_equal(fake.nr_opens, 0);
	/* Who asks for a backend by name means the device node. */
	options.backend = P2PDMA_BACKEND_EXPORT;
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &options, &buffer), 0);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_EXPORT);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
}

static void new_without_p2pd_is_direct(void **state)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_buffer *buffer = NULL;

	p2pd_stop();
	assert_int_equal(p2pdma_provider_find(*state, "0000:01:00.0/2", &provider), 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_EXPORT);
	p2pdma_buffer_free(buffer);
	options.backend = P2PDMA_BACKEND_BROKER;
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &options, &buffer),
			 -ECONNREFUSED);
	p2pdma_provider_unref(provider);
}

static void new_too_many_ranges_einval(void **state)
{
	struct p2pdma_range ranges[P2PDMA_LEASE_MAX_RANGES + 1];
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_buffer *buffer = NULL;

	for (size_t i = 0; i < P2PDMA_LEASE_MAX_RANGES + 1; i++)
		ranges[i] = (struct p2pdma_range){i * 8192, 4096};
	assert_int_equal(p2pdma_provider_find(*state, "0000:01:00.0/2", &provider), 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, P2PDMA_LEASE_MAX_RANGES + 1,
					   NULL, &buffer),
			 -EINVAL);
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, P2PDMA_LEASE_MAX_RANGES, NULL,
					   &buffer),
			 0);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
}

static void acquire_bad_request_einval(void **state)
{
	const struct p2pdma_lease_request good = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_range range = {0, 4096};
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_lease_request request;
	struct {
		struct p2pdma_lease_request known;
		uint64_t later;
	} newer;
	char text[128];

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		request = good;                                                                    \
		request.length_bytes = MIB;                                                        \
		change;                                                                            \
		assert_int_equal(p2pdma_lease_acquire(*state, &request, &buffer), -EINVAL);        \
	} while (0)

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	REFUSED(request.size_bytes = 8);
	REFUSED(request.mode = 9);
	REFUSED(request.flags = 1U << 20);
	REFUSED(request.reserved = 1);
	REFUSED(request.length_bytes = 0);
	REFUSED(request.length_bytes = 4095);
	REFUSED(request.align_bytes = 12288);
	REFUSED(request.align_bytes = 16);
	REFUSED(request.selector = text);
	REFUSED(request.importer = text);
	REFUSED(request.label = text);
	REFUSED(request.label = "two\nlines");
	REFUSED(request.nr_ranges = 1);
	REFUSED((request.ranges = &range, request.nr_ranges = 1));
	assert_int_equal(p2pdma_lease_acquire(NULL, &good, &buffer), -EINVAL);
	assert_int_equal(p2pdma_lease_acquire(*state, NULL, &buffer), -EINVAL);
	assert_int_equal(p2pdma_lease_acquire(*state, &good, NULL), -EINVAL);
	memset(&newer, 0, sizeof(newer));
	newer.known = good;
	newer.known.size_bytes = sizeof(newer);
	newer.later = 1;
	assert_int_equal(p2pdma_lease_acquire(*state, &newer.known, &buffer), -E2BIG);
	assert_int_equal(p2pd_count(WIRE_ACQUIRE), 0);
}

static void acquire_refused_has_p2pds_answer(void **state)
{
	static const int errors[] = {-EACCES, -EDQUOT,	   -EBUSY, -ENODEV,
				     -ESTALE, -EOPNOTSUPP, -EINVAL};
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffer = NULL;

	request.length_bytes = MIB;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		p2pd_twist(WIRE_ACQUIRE, TWIST_ERROR, errors[i], 1);
		assert_int_equal(p2pdma_lease_acquire(*state, &request, &buffer), errors[i]);
		assert_string_equal(p2pdma_context_error(*state), "p2pd's own sentence");
	}
	assert_null(buffer);
}

static void acquire_broken_reply_eproto(void **state)
{
	static const enum fake_twist twists[] = {TWIST_SHORT,  TWIST_TRUNCATED, TWIST_SIZE,
						 TWIST_SERIAL, TWIST_OPCODE,	TWIST_NO_FD,
						 TWIST_FD,     TWIST_TWO_FDS,	TWIST_BODY};
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffer = NULL;
	int before;

	p2pdma_buffer_free(p2pd_acquire());
	before = count_fds();
	request.length_bytes = MIB;
	for (size_t i = 0; i < ARRAY_SIZE(twists); i++) {
		p2pd_twist(WIRE_ACQUIRE, twists[i], 0, 1);
		assert_int_equal(p2pdma_lease_acquire(*state, &request, &buffer), -EPROTO);
		assert_null(buffer);
		p2pdma_buffer_free(p2pd_acquire());
	}
	p2pd_wait_for(count_fds() == before);
}

static void acquire_without_room_emfile(void **state)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *kept = p2pd_acquire(), *buffer = NULL;
	struct rlimit limit;
	int before, r;

	/* Its answer says that what came with the one before is closed over there. */
	assert_int_equal(p2pdma_lease_renew(kept, 0), 0);
	before = count_fds();
	getrlimit(RLIMIT_NOFILE, &limit);
	request.length_bytes = MIB;
	p2pd_twist(WIRE_ACQUIRE, TWIST_FULL, 0, 1);
	r = p2pdma_lease_acquire(*state, &request, &buffer);
	setrlimit(RLIMIT_NOFILE, &limit);
	if (!r) {
		/* valgrind keeps the limit for itself: the kernel had room. */
		p2pdma_buffer_free(buffer);
		p2pdma_buffer_free(kept);
		skip();
	}
	assert_int_equal(r, -EMFILE);
	assert_null(buffer);
	/* The lost reply cost the connection, but no lease. */
	assert_int_equal(p2pdma_lease_renew(kept, 0), 0);
	assert_int_equal(p2pd_count(WIRE_ATTACH), 1);
	p2pd_wait_for(count_fds() == before);
	p2pdma_buffer_free(kept);
}

/* What p2pd knows a repeated request by. */
static void acquire_again_same_nonce(void **state)
{
	struct p2pdma_buffer *first = p2pd_acquire(), *second;
	struct wire_acquire wire, again;

	(void)state;
	p2pd_last(WIRE_ACQUIRE, &wire, sizeof(wire));
	assert_int_not_equal(wire.nonce, 0);
	assert_int_equal(wire.ranges_at, 0);
	p2pd_twist(WIRE_ACQUIRE, TWIST_DROP, 0, 1);
	second = p2pd_acquire();
	assert_int_equal(p2pd_count(WIRE_ACQUIRE), 3);
	p2pd_last(WIRE_ACQUIRE, &again, sizeof(again));
	assert_int_not_equal(again.nonce, 0);
	assert_int_not_equal(again.nonce, wire.nonce);
	p2pdma_buffer_free(first);
	p2pdma_buffer_free(second);
}

static void acquire_late_is_given_back(void **state)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	struct p2pdma_buffer *buffer = NULL;

	request.length_bytes = MIB;
	p2pd_twist(WIRE_ACQUIRE, TWIST_LATE, 1200, 1);
	assert_int_equal(p2pdma_lease_acquire(*state, &request, &buffer), -ETIMEDOUT);
	assert_int_equal(p2pdma_broker_query(*state, &status), 0);
	p2pd_wait_for(p2pd_count(WIRE_RELEASE) == 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, p2pd_setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(acquire_by_need_is_a_buffer), CASE(new_auto_asks_p2pd),
		CASE(new_without_p2pd_is_direct),  CASE(new_too_many_ranges_einval),
		CASE(acquire_bad_request_einval),  CASE(acquire_refused_has_p2pds_answer),
		CASE(acquire_broken_reply_eproto), CASE(acquire_without_room_emfile),
		CASE(acquire_again_same_nonce),	   CASE(acquire_late_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
