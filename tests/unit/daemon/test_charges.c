// SPDX-License-Identifier: MIT
/* Charges by number: what is given back is what was charged, and no number means two things. */
#include <errno.h>

#include "client/charges.h"
#include "core.h"

static const struct account_limits limits = {.most = {[ACCOUNT_CLOSING] = 2}};

struct fixture {
	struct accounts accounts;
	struct account *user;
	struct charges charges;
};

static int setup(void **state)
{
	static struct fixture f;

	assert_int_equal(accounts_init(&f.accounts, &limits), 0);
	assert_int_equal(account_get(&f.accounts, 1000, &f.user), 0);
	charges_init(&f.charges, &f.accounts);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	charges_done(&f->charges);
	assert_int_equal(f->user->used[ACCOUNT_CLOSING], 0);
	assert_int_equal(f->user->refs, 1);
	account_put(&f->accounts, f->user);
	accounts_done(&f->accounts);
	return 0;
}

static uint32_t add(struct fixture *f)
{
	uint32_t slot;

	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_CLOSING, 1), 0);
	assert_int_equal(charges_add(&f->charges, f->user, ACCOUNT_CLOSING, &slot), 0);
	assert_true(charges_has(&f->charges, slot));
	return slot;
}

static void give_back_discharges_and_frees_the_number(void **state)
{
	struct fixture *f = *state;
	uint32_t first = add(f), second = add(f);

	assert_int_not_equal(first, second);
	assert_int_equal(f->user->refs, 3);
	charges_give_back(&f->charges, first);
	assert_false(charges_has(&f->charges, first));
	assert_true(charges_has(&f->charges, second));
	assert_int_equal(f->user->used[ACCOUNT_CLOSING], 1);
	assert_int_equal(add(f), first);
}

static void settle_none_is_given_back(void **state)
{
	struct fixture *f = *state;
	uint32_t slot = add(f);

	charges_settle(&f->charges, slot, 0);
	assert_false(charges_has(&f->charges, slot));
	assert_int_equal(f->user->used[ACCOUNT_CLOSING], 0);
}

static void settle_many_beyond_the_limit_until_the_last_is_back(void **state)
{
	struct fixture *f = *state;
	uint32_t slot = add(f);

	charges_settle(&f->charges, slot, 253);
	assert_int_equal(f->user->used[ACCOUNT_CLOSING], 253);
	assert_int_equal(account_charge(&f->accounts, f->user, ACCOUNT_CLOSING, 1), -EDQUOT);
	for (int i = 0; i < 253; i++) {
		assert_true(charges_has(&f->charges, slot));
		charges_give_back(&f->charges, slot);
	}
	assert_false(charges_has(&f->charges, slot));
}

static void add_of_nobody(void **state)
{
	struct fixture *f = *state;
	uint32_t slot;

	assert_int_equal(charges_add(&f->charges, NULL, ACCOUNT_CONNECTIONS, &slot), 0);
	charges_settle(&f->charges, slot, 2);
	charges_give_back(&f->charges, slot);
	assert_true(charges_has(&f->charges, slot));
}

static void has_no_number_that_was_never_given(void **state)
{
	struct fixture *f = *state;

	assert_false(charges_has(&f->charges, 0));
	add(f);
	for (uint32_t slot = 0, count = 0; slot < 100; slot++)
		assert_true((count += charges_has(&f->charges, slot)) <= 1);
	assert_false(charges_has(&f->charges, UINT32_MAX));
}

/* More numbers than there is room for at first; the account outlives its last connection. */
static void add_many_then_done_discharges_all(void **state)
{
	struct fixture *f = *state;
	struct account *gone;
	uint32_t slot;

	assert_int_equal(account_get(&f->accounts, 1001, &gone), 0);
	for (int i = 0; i < 1000; i++) {
		account_charge_anyway(gone, ACCOUNT_CLOSING, 1);
		assert_int_equal(charges_add(&f->charges, gone, ACCOUNT_CLOSING, &slot), 0);
	}
	account_put(&f->accounts, gone);
	assert_int_equal(gone->refs, 1000);
	assert_int_equal(gone->used[ACCOUNT_CLOSING], 1000);
	charges_done(&f->charges);
	assert_false(charges_has(&f->charges, slot));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(give_back_discharges_and_frees_the_number),
		test(settle_none_is_given_back),
		test(settle_many_beyond_the_limit_until_the_last_is_back),
		test(add_of_nobody),
		test(has_no_number_that_was_never_given),
		test(add_many_then_done_discharges_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
