// SPDX-License-Identifier: MIT
/*
 * rxe_race RDMADEV BDF BAR: exports are taken back from soft-RoCE while it
 * registers them, deregisters them and moves data, many times.
 *
 * What that proves is in the kernel log of a debug kernel as much as here.
 */
#include <stdatomic.h>

#include "rxe_export.h"

static struct rig rig;
static struct source source;

struct race {
	struct buffer buf;
	struct dmabuf_mr mr;
	atomic_bool go;
	int result;
	atomic_uint rounds;
};

struct counter {
	struct rig rig;
	struct dmabuf_mr mr;
	atomic_uint *total; /* additions that completed, all counters' */
	int status;	    /* of the one that didn't */
};

static void *revoke_on_go(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->go))
		;
	race->result = take_back(&race->buf);
	return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (pthread_create(thread, NULL, run, arg))
		die(0, "pthread_create");
}

/* Revocation against writes and reads that go on. */
static void test_traffic(void)
{
	static uint8_t marks[BUFFER_SIZE];
	int round, status, wrong = 0, odd = 0, early = 0;

	for (round = 0; round < 20; round++) {
		struct race race = {.buf = export_or_die(&source, O_RDWR, 0)};
		unsigned int moved = 0;
		pthread_t thread;

		race.mr = reg_or_die(&rig, &race.buf);
		start(&thread, revoke_on_go, &race);
		do {
			status = round % 2 ? read_from(&rig, &race.mr, race.buf.size) :
					     write_to(&rig, &race.mr, race.buf.size);
			if (moved++ == (unsigned int)round % 5)
				atomic_store(&race.go, true);
		} while (status == IBV_WC_SUCCESS && moved < 100000);
		early += !atomic_load(&race.go);
		pthread_join(thread, NULL);
		mark(&race.buf, round, marks);
		if (race.result || status != IBV_WC_REM_ACCESS_ERR) {
			printf("# round %d: revoke says %d, the completion %d\n", round,
			       race.result, status);
			odd++;
		}
		rig_connect(&rig);
		usleep(2000);
		wrong += buffer_differs(&race.buf, 0, marks, race.buf.size) >= 0;
		odd += !!dereg(&rig, &race.mr);
		close(race.buf.fd);
	}
	tap_is(early, 0, "move_until_revoke_20_times");
	tap_is(odd, 0, "revoke_under_traffic_20_times");
	tap_is(wrong, 0, "revoke_under_traffic_leaves_bytes");
}

/*
 * Revocation against two connections that count in one word: each addition that completed
 * has happened, and no other, for the one that failed was refused.
 */
static void *count_until_refused(void *arg)
{
	struct counter *counter = arg;
	static const struct atomic_op add = {IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 1};
	uint64_t before;

	do {
		counter->status =
			rig_atomic(&counter->rig, &add, mr_at(&counter->mr, IOVA + 8), &before);
		atomic_fetch_add(counter->total, !counter->status);
	} while (!counter->status);
	return NULL;
}

static void test_count(void)
{
	static uint8_t zeros[BUFFER_SIZE];
	static struct counter counters[2];
	uint64_t value, early = 0;
	int round, i, wrong = 0, odd = 0;

	for (i = 0; i < 2; i++)
		rig_init(&counters[i].rig, ibv_get_device_name(rig.pair.context->device));
	for (round = 0; round < 20; round++) {
		struct race race = {.buf = export_or_die(&source, O_RDWR, 0)};
		pthread_t threads[2];
		atomic_uint total = 0;

		buffer_write(&race.buf, 0, zeros, sizeof(zeros));
		for (i = 0; i < 2; i++) {
			counters[i].mr = reg_or_die(&counters[i].rig, &race.buf);
			counters[i].total = &total;
			start(&threads[i], count_until_refused, &counters[i]);
		}
		while (atomic_load(&total) < 10U + (unsigned int)round)
			usleep(100);
		odd += !!take_back(&race.buf);
		buffer_read(&race.buf, 8, (uint8_t *)&value, sizeof(value));
		for (i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			odd += counters[i].status != IBV_WC_REM_ACCESS_ERR;
			rig_connect(&counters[i].rig);
			odd += !!dereg(&counters[i].rig, &counters[i].mr);
		}
		early += value < 10;
		if (value != atomic_load(&total)) {
			printf("# round %d: %u additions made %llu\n", round, atomic_load(&total),
			       (unsigned long long)value);
			wrong++;
		}
		buffer_write(&race.buf, 8, zeros, sizeof(value));
		wrong += buffer_differs(&race.buf, 0, zeros, sizeof(zeros)) >= 0;
		close(race.buf.fd);
	}
	for (i = 0; i < 2; i++)
		rig_done(&counters[i].rig);
	tap_is(early, 0, "count_until_revoke_20_times");
	tap_is(odd, 0, "revoke_while_counting_20_times");
	tap_is(wrong, 0, "revoke_while_counting_loses_and_adds_nothing");
}

static void test_race_dereg(void)
{
	int round, odd = 0;

	for (round = 0; round < 150; round++) {
		struct race race = {.buf = export_or_die(&source, O_RDWR, 0)};
		pthread_t thread;

		race.mr = reg_or_die(&rig, &race.buf);
		start(&thread, revoke_on_go, &race);
		atomic_store(&race.go, true);
		odd += !!dereg(&rig, &race.mr);
		pthread_join(thread, NULL);
		odd += race.result || status_of(&race.buf).nr_attachments;
		close(race.buf.fd);
	}
	tap_is(odd, 0, "deregister_while_revoking_150_times");
}

static void test_race_reg(void)
{
	int round, err, odd = 0;

	for (round = 0; round < 150; round++) {
		struct race race = {.buf = export_or_die(&source, O_RDWR, 0)};
		pthread_t thread;

		start(&thread, revoke_on_go, &race);
		atomic_store(&race.go, true);
		while (!(err = reg(&rig, &race.buf, MR_ALL_ACCESS, &race.mr)))
			odd += !!dereg(&rig, &race.mr);
		odd += err != -ENODEV;
		pthread_join(thread, NULL);
		odd += race.result || status_of(&race.buf).nr_attachments;
		close(race.buf.fd);
	}
	tap_is(odd, 0, "register_while_revoking_150_times");
}

static void *churn(void *arg)
{
	struct race *race = arg;
	struct dmabuf_mr mr;

	while (!atomic_load(&race->go)) {
		if (reg(&rig, &race->buf, MR_ALL_ACCESS, &mr) || dereg(&rig, &mr))
			race->result++;
		atomic_fetch_add(&race->rounds, 1);
	}
	return NULL;
}

/* Four threads register and deregister while data moves over another region. */
static void test_churn(void)
{
	static struct race races[4];
	struct buffer buf = export_or_die(&source, O_RDWR, 0);
	struct dmabuf_mr mr = reg_or_die(&rig, &buf);
	const int64_t end = now_ns() + 60000000000LL;
	unsigned int i, rounds = 0, moved = 0;
	pthread_t threads[4];
	int odd = 0;

	for (i = 0; i < 4; i++) {
		races[i].buf = i < 2 ? buf : export_or_die(&source, O_RDWR, 0);
		start(&threads[i], churn, &races[i]);
	}
	while (now_ns() < end && (rounds < 100 || moved < 5)) {
		pattern_fill(rig.host, moved++, buf.size);
		odd += !!write_to(&rig, &mr, buf.size);
		odd += buffer_differs(&buf, 0, rig.host, buf.size) >= 0;
		for (i = 0, rounds = 0; i < 4; i++)
			rounds += atomic_load(&races[i].rounds);
	}
	for (i = 0; i < 4; i++) {
		atomic_store(&races[i].go, true);
		pthread_join(threads[i], NULL);
		odd += races[i].result;
		if (i >= 2)
			close(races[i].buf.fd);
	}
	printf("# %u registrations while %u transfers\n", rounds, moved);
	tap_ok(!odd && rounds >= 100 && moved >= 5, "register_by_4_threads_while_moving", odd);
	dereg(&rig, &mr);
	close(buf.fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die(0, "usage: rxe_race RDMADEV BDF BAR");
	rig_init(&rig, argv[1]);
	source = source_open(argv[2], atoi(argv[3]));

	test_traffic();
	test_count();
	test_race_dereg();
	test_race_reg();
	test_churn();

	rig_done(&rig);
	return tap_done();
}
