// SPDX-License-Identifier: MIT
/* Audit lines: a burst for each user, then a rate; what is left out is counted. */
#include "report/audit.h"
#include "core.h"

static struct audit *audit;
static struct audit_sum sums[8];
static size_t nr_sums;

static int setup(void **state)
{
	(void)state;
	return audit_new(&audit);
}

static int teardown(void **state)
{
	(void)state;
	audit_free(audit);
	return 0;
}

static void tell(void *data, const struct audit_sum *sum)
{
	(void)data;
	assert_true(nr_sums < ARRAY_SIZE(sums));
	sums[nr_sums++] = *sum;
}

static size_t sum_up(uint64_t now_ns)
{
	nr_sums = 0;
	audit_sums(audit, now_ns, tell, NULL);
	return nr_sums;
}

static unsigned int admitted(uid_t uid, unsigned int count, uint64_t now_ns)
{
	unsigned int lines = 0;

	for (unsigned int i = 0; i < count; i++)
		lines += audit_admit(audit, uid, now_ns, AUDIT_GRANTED, 4096);
	return lines;
}

static void admit_burst_then_rate_and_the_rest_in_sum(void **state)
{
	(void)state;
	assert_int_equal(admitted(1000, 300, SECOND), AUDIT_BURST);
	assert_false(audit_admit(audit, 1000, SECOND, AUDIT_ENDED, 8192));
	assert_int_equal(sum_up(2 * SECOND), 1);
	assert_int_equal(sums[0].uid, 1000);
	assert_int_equal(sums[0].count[AUDIT_GRANTED], 200);
	assert_int_equal(sums[0].bytes[AUDIT_GRANTED], 200 * 4096);
	assert_int_equal(sums[0].count[AUDIT_REVOKING], 0);
	assert_int_equal(sums[0].count[AUDIT_ENDED], 1);
	assert_int_equal(sums[0].bytes[AUDIT_ENDED], 8192);
	/* Told once; what a second earned is there. */
	assert_int_equal(sum_up(2 * SECOND), 0);
	assert_int_equal(admitted(1000, 10, 2 * SECOND), AUDIT_PER_SECOND);
	/* Asking more often earns no less. */
	for (uint64_t ms = 1; ms <= 1000; ms++)
		assert_true(admitted(1000, 1, 2 * SECOND + ms * MS) == (ms % 500 == 0));
}

static void admit_each_user_by_itself(void **state)
{
	(void)state;
	/* 256 apart: the same place. */
	assert_int_equal(admitted(1000, 300, SECOND), AUDIT_BURST);
	assert_int_equal(admitted(1256, AUDIT_BURST, SECOND), AUDIT_BURST);
	assert_int_equal(admitted(1000, 1, SECOND), 0);
	/* Root's are all told. */
	assert_int_equal(admitted(0, 1000, SECOND), 1000);
	assert_int_equal(sum_up(SECOND), 1);
	assert_int_equal(sums[0].count[AUDIT_GRANTED], 201);
}

/* What one is denied is its own, and not in the way of what it is granted. */
static void admit_denials_by_themselves(void **state)
{
	unsigned int lines = 0;

	(void)state;
	for (unsigned int i = 0; i < 500; i++)
		lines += audit_admit(audit, 1000, SECOND, i % 2 ? AUDIT_DENIED : AUDIT_LINE, 0);
	assert_int_equal(lines, AUDIT_TALK_BURST);
	assert_int_equal(admitted(1000, AUDIT_BURST, SECOND), AUDIT_BURST);
	for (uid_t uid = 1001; uid < 1001 + 1024; uid++)
		assert_true(audit_admit(audit, uid, SECOND, AUDIT_DENIED, 0));
	assert_int_equal(sum_up(SECOND), 1);
	assert_int_equal(sums[0].count[AUDIT_DENIED] + sums[0].count[AUDIT_LINE],
			 500 - AUDIT_TALK_BURST);
	assert_int_equal(sums[0].count[AUDIT_GRANTED], 0);
	assert_true(audit_admit(audit, 1000, 2 * SECOND, AUDIT_DENIED, 0));
	sum_up(2 * SECOND);
	assert_true(audit_is_busy(audit));
	sum_up(2 * SECOND + AUDIT_BURST * SECOND);
	assert_false(audit_is_busy(audit));
}

/* Users without end: those that were there keep what they have, the rest share one entry. */
static void admit_too_many_users_shared(void **state)
{
	unsigned int lines = 0;

	(void)state;
	for (uid_t uid = 1; uid <= AUDIT_MOST_USERS; uid++)
		assert_true(audit_admit(audit, uid, SECOND, AUDIT_DENIED, 0));
	for (uid_t uid = 100000; uid < 200000; uid++)
		lines += audit_admit(audit, uid, SECOND, AUDIT_DENIED, 0);
	assert_int_equal(lines, AUDIT_TALK_BURST);
	assert_true(audit_admit(audit, 1, SECOND, AUDIT_DENIED, 0));
	assert_int_equal(sum_up(SECOND), 1);
	assert_int_equal(sums[0].uid, AUDIT_OTHERS);
	assert_int_equal(sums[0].count[AUDIT_DENIED], 100000 - AUDIT_TALK_BURST);
	/* Later there is room for them. */
	sum_up(100 * SECOND);
	assert_int_equal(admitted(100000, 1, 100 * SECOND), 1);
	assert_int_equal(admitted(100001, AUDIT_BURST + 1, 100 * SECOND), AUDIT_BURST);
	assert_int_equal(sum_up(100 * SECOND), 1);
	assert_int_equal(sums[0].uid, 100001);
}

static void sums_forget_who_has_a_whole_burst(void **state)
{
	(void)state;
	assert_false(audit_is_busy(audit));
	admitted(1000, 300, SECOND);
	assert_int_equal(sum_up(2 * SECOND), 1);
	assert_true(audit_is_busy(audit));
	assert_int_equal(sum_up(2 * SECOND + AUDIT_BURST * SECOND), 0);
	assert_false(audit_is_busy(audit));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(admit_burst_then_rate_and_the_rest_in_sum),
		CASE(admit_each_user_by_itself),
		CASE(admit_denials_by_themselves),
		CASE(admit_too_many_users_shared),
		CASE(sums_forget_who_has_a_whole_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
