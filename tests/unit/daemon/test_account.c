// SPDX-License-Identifier: MIT
/* Accounts: limits, sums that can't overflow, requests at a rate. */
#include <errno.h>

#include "broker/account.h"
#include "core.h"

static const struct account_limits limits = {
	.most = {[ACCOUNT_CONNECTIONS] = 2,
		 [ACCOUNT_LEASES] = 3,
		 [ACCOUNT_BYTES] = 100,
		 [ACCOUNT_UNREAD_BYTES] = UINT64_MAX,
		 [ACCOUNT_UNREAD_FDS] = 0},
	.requests_per_s = 10,
	.requests_burst = 3,
};

struct fixture {
	struct accounts accounts;
	struct account *user, *root;
};

static int setup(void **state)
{
	static struct fixture f;

	assert_int_equal(accounts_init(&f.accounts, &limits), 0);
	assert_int_equal(account_get(&f.accounts, 1000, &f.user), 0);
	assert_int_equal(account_get(&f.accounts, 0, &f.root), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	account_put(&f->accounts, f->user);
	account_put(&f->accounts, f->root);
	accounts_done(&f->accounts);
	return 0;
}

static void peek_only_who_is_there(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(account_peek(&f->accounts, 1000), f->user);
	assert_null(account_peek(&f->accounts, 1001));
}

static void charge_up_to_the_limit_then_edquot(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, 60), 0);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, 41), -EDQUOT);
	assert_int_equal(f->user->used[ACCOUNT_BYTES], 60);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, 40), 0);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, 1), -EDQUOT);
	account_discharge(f->user, ACCOUNT_BYTES, 1);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, 1), 0);
	/* One kind doesn't take from another. */
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_LEASES, 3), 0);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_UNREAD_FDS, 1), -EDQUOT);
	account_discharge(f->user, ACCOUNT_BYTES, 100);
	account_discharge(f->user, ACCOUNT_LEASES, 3);
}

static void charge_overflow_edquot(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_UNREAD_BYTES, UINT64_MAX),
			 0);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_UNREAD_BYTES, 1), -EDQUOT);
	assert_int_equal(f->user->used[ACCOUNT_UNREAD_BYTES], UINT64_MAX);
	account_discharge(f->user, ACCOUNT_UNREAD_BYTES, UINT64_MAX);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, 1), 0);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_BYTES, UINT64_MAX), -EDQUOT);
	account_discharge(f->user, ACCOUNT_BYTES, 1);
}

static void charge_root_has_no_limit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(account_charge(&f->accounts, f->root, ACCOUNT_BYTES, UINT64_MAX - 1), 0);
	assert_int_equal(account_charge(&f->accounts, f->root, ACCOUNT_BYTES, 2), -EDQUOT);
	account_discharge(f->root, ACCOUNT_BYTES, UINT64_MAX - 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(account_request(&f->accounts, f->root, 5), 0);
}

static void charge_after_lower_limits_edquot_until_below(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_LEASES, 3), 0);
	f->accounts.limits.most[ACCOUNT_LEASES] = 1;
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_LEASES, 1), -EDQUOT);
	account_discharge(f->user, ACCOUNT_LEASES, 3);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_LEASES, 1), 0);
	account_discharge(f->user, ACCOUNT_LEASES, 1);
}

static void request_burst_then_at_the_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 1000 * SECOND, wait;

	for (int i = 0; i < 3; i++)
		assert_int_equal(account_request(&f->accounts, f->user, now), 0);
	wait = account_request(&f->accounts, f->user, now);
	assert_int_equal(wait, 100 * MS);
	/* Asking again doesn't make it longer, nor does asking a bit too early. */
	assert_int_equal(account_request(&f->accounts, f->user, now), wait);
	assert_int_equal(account_request(&f->accounts, f->user, now + wait - 1), 1);
	assert_int_equal(account_request(&f->accounts, f->user, now + wait), 0);
	assert_int_equal(account_request(&f->accounts, f->user, now + wait), 100 * MS);
	/* A long pause is worth one burst. */
	now += 1000 * SECOND;
	for (int i = 0; i < 3; i++)
		assert_int_equal(account_request(&f->accounts, f->user, now), 0);
	assert_int_not_equal(account_request(&f->accounts, f->user, now), 0);
}

static void request_often_too_early_loses_no_time(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 7 * SECOND, granted = 0;

	/* Every 1.7 ms for 100 s, at 10 a second: what is left over each time adds up. */
	for (; now < 107 * SECOND; now += 1700 * 1000)
		granted += !account_request(&f->accounts, f->user, now);
	assert_in_range(granted, 1000, 1003);
}

static void request_wait_is_exact_for_odd_rates(void **state)
{
	static const uint32_t rates[] = {1, 3, 7, 999, 1000, 1001, 999983, 1000000};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t random = 88172645463325252ULL + i, now = 1ULL << 40;

		f->accounts.limits.requests_per_s = rates[i];
		f->accounts.limits.requests_burst = 1;
		for (uint64_t step = 0; step < 300; step++) {
			uint64_t wait = account_request(&f->accounts, f->user, now);

			/* On half of the steps a little early, which may cost a nanosecond. */
			if (wait > 1 && step % 2)
				assert_int_not_equal(
					account_request(&f->accounts, f->user, now + wait - 1), 0);
			if (wait)
				assert_int_equal(account_request(&f->accounts, f->user,
								 now + wait + step % 2),
						 0);
			assert_true(wait <= SECOND / rates[i] + 1);
			now += wait + 1 + next_random(&random) % (2 * SECOND / rates[i] + 1);
		}
	}
}

static void request_clock_jumps_give_at_most_a_burst(void **state)
{
	static const uint64_t times[] = {UINT64_MAX, 0, UINT64_MAX, 1, UINT64_MAX / 2, 1};
	struct fixture *f = *state;

	f->accounts.limits.requests_burst = UINT32_MAX;
	f->accounts.limits.requests_per_s = UINT32_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_int_equal(account_request(&f->accounts, f->user, times[i]), 0);
		assert_true(f->user->tokens_mil <= UINT32_MAX * 1000ULL);
	}
	/* Times and rates whose product overflows to almost nothing fill it all the same. */
	f->accounts.limits.requests_burst = f->accounts.limits.requests_per_s = 1 << 20;
	f->user->tokens_mil = 0;
	f->user->refilled_ns = SECOND;
	assert_int_equal(account_request(&f->accounts, f->user, SECOND + (1ULL << 44)), 0);
	assert_int_equal(f->user->tokens_mil, ((1ULL << 20) - 1) * 1000);
	/* Back: no time has passed, and none has to pass twice. */
	f->accounts.limits = limits;
	for (int i = 0; i < 3; i++)
		assert_int_equal(account_request(&f->accounts, f->user, 500 * SECOND), 0);
	assert_int_equal(account_request(&f->accounts, f->user, 400 * SECOND), 100 * MS);
	assert_int_equal(account_request(&f->accounts, f->user, 400 * SECOND + 100 * MS), 0);
}

static void request_without_rate_never_waits(void **state)
{
	struct fixture *f = *state;

	f->accounts.limits.requests_per_s = 0;
	f->accounts.limits.requests_burst = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(account_request(&f->accounts, f->user, 1), 0);
	/* With a rate there is at least one at a time. */
	f->accounts.limits.requests_per_s = 1;
	assert_int_equal(account_request(&f->accounts, f->user, 2), 0);
	assert_int_equal(account_request(&f->accounts, f->user, 2), SECOND);
}

static void get_again_same_account(void **state)
{
	struct fixture *f = *state;
	struct account *again;

	assert_int_equal(account_get(&f->accounts, 1000, &again), 0);
	assert_ptr_equal(again, f->user);
	account_put(&f->accounts, again);
	assert_int_equal(f->accounts.count, 2);
	assert_int_equal(f->user->uid, 1000);
}

static void put_last_is_forgotten_when_its_requests_are_back(void **state)
{
	struct fixture *f = *state;
	struct account *other;

	assert_int_equal(account_get(&f->accounts, 7, &other), 0);
	account_put(&f->accounts, other);
	assert_int_equal(f->accounts.count, 2);

	/* Hanging up and connecting again brings no new requests... */
	assert_int_equal(account_get(&f->accounts, 7, &other), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(account_request(&f->accounts, other, SECOND), 0);
	account_put(&f->accounts, other);
	assert_int_equal(account_get(&f->accounts, 7, &other), 0);
	assert_int_not_equal(account_request(&f->accounts, other, SECOND), 0);
	account_put(&f->accounts, other);
	assert_int_equal(f->accounts.count, 3);

	/* ... and time does, after which nothing is left of the user. */
	assert_int_equal(account_request(&f->accounts, f->root, 2 * SECOND), 0);
	assert_int_equal(account_get(&f->accounts, 7, &other), 0);
	assert_int_equal(f->accounts.count, 3);
	account_put(&f->accounts, other);
	assert_int_equal(f->accounts.count, 2);
}

static void many_users_come_and_go(void **state)
{
	enum {
		NR = 5000
	};
	static struct account *accounts[NR];
	struct fixture *f = *state;

	for (uid_t i = 0; i < NR; i++) {
		assert_int_equal(account_get(&f->accounts, 5000 + i * 64, &accounts[i]), 0);
		assert_int_equal(account_charge(&f->accounts, accounts[i], ACCOUNT_LEASES, 1), 0);
		assert_int_equal(account_request(&f->accounts, accounts[i], SECOND), 0);
	}
	assert_int_equal(f->accounts.count, NR + 2);
	assert_true(f->accounts.nr_buckets >= NR / 2);
	for (uid_t i = 0; i < NR; i++) {
		struct account *again;

		assert_int_equal(account_get(&f->accounts, 5000 + i * 64, &again), 0);
		assert_ptr_equal(again, accounts[i]);
		account_put(&f->accounts, again);
		account_discharge(accounts[i], ACCOUNT_LEASES, 1);
		account_put(&f->accounts, accounts[i]);
	}
	/* All are idle and remembered; newcomers sweep them away chain by chain. */
	assert_int_equal(f->accounts.count, NR + 2);
	assert_int_equal(account_request(&f->accounts, f->root, 10 * SECOND), 0);
	for (uid_t i = 0; i < 8 * NR; i++) {
		struct account *passing;

		assert_int_equal(account_get(&f->accounts, 5000 + i * 64, &passing), 0);
		account_put(&f->accounts, passing);
	}
	assert_true(f->accounts.count < NR / 10);
}

static void kind_names_all_different(void **state)
{
	(void)state;
	for (int a = 0; a < ACCOUNT_NR_KINDS; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(account_kind_name((enum account_kind)a),
						account_kind_name((enum account_kind)b));
	assert_string_equal(account_kind_name(ACCOUNT_LEASES), "leases");
	assert_string_equal(account_kind_name(ACCOUNT_NR_KINDS), "unknown");
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(peek_only_who_is_there),
		test(charge_up_to_the_limit_then_edquot),
		test(charge_overflow_edquot),
		test(charge_root_has_no_limit),
		test(charge_after_lower_limits_edquot_until_below),
		test(request_burst_then_at_the_rate),
		test(request_often_too_early_loses_no_time),
		test(request_wait_is_exact_for_odd_rates),
		test(request_clock_jumps_give_at_most_a_burst),
		test(request_without_rate_never_waits),
		test(get_again_same_account),
		test(put_last_is_forgotten_when_its_requests_are_back),
		test(many_users_come_and_go),
		test(kind_names_all_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
