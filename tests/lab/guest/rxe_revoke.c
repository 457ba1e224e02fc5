// SPDX-License-Identifier: MIT
/*
 * rxe_revoke RDMADEV BDF BAR: memory regions on exports that are taken back, and
 * the parameters of rdma_rxe that play other importers.
 *
 * After a revocation nothing may be moved any more: the CPU marks the memory,
 * by another export, and looks whether the marks stay. Races between revoking
 * and registering, deregistering and moving data are run many times; what they
 * prove is in the kernel log of a debug kernel as much as here.
 */
#include <stdatomic.h>
#include <sys/wait.h>

#include "rxe_buffer.h"

#define IOVA	   0x5000000000ULL
#define PARAMETERS "/sys/module/rdma_rxe/parameters/"

static struct rig rig;
static const char *bdf;
static unsigned int bar;
static int owner;
static volatile uint8_t *cpu;

static struct buffer export_or_die(uint32_t open_flags, uint32_t flags)
{
	struct buffer buf;
	int err = export_make(&buf, owner, bar, open_flags, flags);

	if (err)
		die(err, "export");
	buf.cpu = cpu;
	return buf;
}

static int reg(const struct buffer *buf, uint32_t access, struct dmabuf_mr *ret_mr)
{
	struct mr_request range = {
		.fd = buf->fd, .length = buf->size, .iova = IOVA, .access = access};

	return dmabuf_mr_register(&rig.pair, MR_IOCTL, &range, ret_mr);
}

static struct dmabuf_mr reg_or_die(const struct buffer *buf)
{
	struct dmabuf_mr mr;
	int err = reg(buf, MR_ALL_ACCESS, &mr);

	if (err)
		die(err, "registration");
	return mr;
}

static int take_back(const struct buffer *buf)
{
	struct p2pdma_export_revoke arg = {.argsz = sizeof(arg), .export_id = buf->export_id};

	return ioctl(owner, P2PDMA_EXPORT_REVOKE, &arg) ? -errno : 0;
}

static struct p2pdma_export_status status_of(const struct buffer *buf)
{
	struct p2pdma_export_status arg = {.argsz = sizeof(arg), .export_id = buf->export_id};

	if (ioctl(owner, P2PDMA_EXPORT_STATUS, &arg))
		die(-errno, "status");
	return arg;
}

static int write_to(const struct dmabuf_mr *mr, uint32_t length)
{
	return rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), (struct place){IOVA, mr->rkey},
		      length);
}

static int read_from(const struct dmabuf_mr *mr, uint32_t length)
{
	return rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, 0), (struct place){IOVA, mr->rkey},
		      length);
}

static void set_parameter(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	must(write_file(path, value), path);
}

static void mark(const struct buffer *buf, uint32_t seed, uint8_t *ret_marks)
{
	pattern_fill(ret_marks, seed, buf->size);
	buffer_write(buf, 0, ret_marks, buf->size);
}

static void test_idle(void)
{
	static uint8_t marks[BUFFER_SIZE];
	struct buffer buf = export_or_die(O_RDWR, 0);
	struct dmabuf_mr mr = reg_or_die(&buf);
	struct dmabuf_mr other;
	int got;

	tap_is(write_to(&mr, buf.size), 0, "write_before_revoke");
	tap_is(take_back(&buf), 0, "revoke");
	tap_is(take_back(&buf), 0, "revoke_again");
	mark(&buf, 1, marks);

	tap_is(write_to(&mr, 100), IBV_WC_REM_ACCESS_ERR, "write_after_revoke");
	rig_connect(&rig);
	tap_is(read_from(&mr, 100), IBV_WC_REM_ACCESS_ERR, "read_after_revoke");
	rig_connect(&rig);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      100),
	       IBV_WC_WR_FLUSH_ERR, "write_from_after_revoke");
	rig_connect(&rig);
	got = rig_send(&rig, host_at(&rig, 0), (struct place){IOVA, mr.lkey}, 100);
	tap_ok(got != IBV_WC_SUCCESS && got != NO_COMPLETION, "receive_after_revoke", got);
	rig_connect(&rig);

	tap_is(buffer_differs(&buf, 0, marks, buf.size), -1, "revoke_leaves_bytes");
	tap_is(reg(&buf, MR_ALL_ACCESS, &other), -ENODEV, "register_after_revoke_enodev");
	tap_is(status_of(&buf).nr_mappings, 0, "revoke_leaves_no_mapping");
	tap_is(dmabuf_mr_deregister(&rig.pair, &mr), 0, "deregister_after_revoke");
	tap_is(status_of(&buf).nr_attachments, 0, "deregister_detaches");
	close(buf.fd);
}

static void test_read_only(void)
{
	struct buffer buf = export_or_die(O_RDONLY, 0);
	struct dmabuf_mr mr;
	uint8_t want[100];

	tap_is(reg(&buf, MR_ALL_ACCESS, &mr), -EACCES, "register_writing_read_only_eacces");
	tap_is(reg(&buf, IBV_ACCESS_LOCAL_WRITE, &mr), -EACCES,
	       "register_local_write_read_only_eacces");
	tap_is(reg(&buf, IBV_ACCESS_REMOTE_READ, &mr), 0, "register_reading_read_only");
	pattern_fill(want, 2, sizeof(want));
	buffer_write(&buf, 0, want, sizeof(want));
	tap_is(read_from(&mr, sizeof(want)), 0, "read_read_only");
	tap_is(memcmp(rig.host, want, sizeof(want)), 0, "read_read_only_bytes_arrive");
	tap_is(dmabuf_mr_deregister(&rig.pair, &mr), 0, "deregister_read_only");
	close(buf.fd);
}

static void test_pinned(void)
{
	struct buffer buf = export_or_die(O_RDWR, 0);
	struct dmabuf_mr mr;

	set_parameter("dmabuf_pin", "Y");
	mr = reg_or_die(&buf);
	set_parameter("dmabuf_pin", "N");
	tap_is(status_of(&buf).nr_pins, 1, "register_pinned");
	tap_is(write_to(&mr, 5000), 0, "write_pinned");
	tap_is(take_back(&buf), 0, "revoke_pinned");
	tap_is(status_of(&buf).nr_pins, 0, "revoke_unpins");
	tap_is(write_to(&mr, 5000), IBV_WC_REM_ACCESS_ERR, "write_after_revoke_pinned");
	rig_connect(&rig);
	tap_is(dmabuf_mr_deregister(&rig.pair, &mr), 0, "deregister_pinned");
	close(buf.fd);
}

static void test_unrevocable(void)
{
	struct buffer strict = export_or_die(O_RDWR, 0);
	struct buffer lenient = export_or_die(O_RDWR, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct dmabuf_mr mr;

	set_parameter("dmabuf_revocable", "N");
	tap_is(reg(&strict, MR_ALL_ACCESS, &mr), -EOPNOTSUPP, "register_unrevocable_eopnotsupp");
	mr = reg_or_die(&lenient);
	set_parameter("dmabuf_revocable", "Y");
	tap_is(status_of(&lenient).nr_pins, 1, "register_unrevocable_pins");
	tap_ok(status_of(&lenient).nr_unrevocable > 0, "register_unrevocable_is_known", 0);
	tap_is(take_back(&lenient), -EBUSY, "revoke_unrevocable_ebusy");
	tap_is(write_to(&mr, 5000), 0, "write_unrevocable_after_revoke");
	tap_is(dmabuf_mr_deregister(&rig.pair, &mr), 0, "deregister_unrevocable");
	tap_is(status_of(&lenient).nr_pins, 0, "deregister_unpins");
	tap_is(take_back(&lenient), 0, "revoke_after_deregister");
	close(strict.fd);
	close(lenient.fd);
}

/* A child registers and ends without a word. */
static void test_exit(void)
{
	struct buffer buf = export_or_die(O_RDWR, 0);
	const char *device = ibv_get_device_name(rig.pair.context->device);
	pid_t child = fork();
	int status;

	if (!child) {
		struct rig mine;
		struct dmabuf_mr mr;
		struct mr_request range = {
			.fd = buf.fd, .length = buf.size, .iova = IOVA, .access = MR_ALL_ACCESS};

		rig_init(&mine, device);
		_exit(dmabuf_mr_register(&mine.pair, MR_IOCTL, &range, &mr) ||
		      rig_do(&mine, IBV_WR_RDMA_WRITE, host_at(&mine, 0),
			     (struct place){IOVA, mr.rkey}, 100) ||
		      status_of(&buf).nr_mappings != 1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		die(-errno, "fork");
	tap_is(status, 0, "register_in_a_child");
	tap_is(status_of(&buf).nr_attachments, 0, "exit_detaches");
	tap_is(status_of(&buf).nr_mappings, 0, "exit_unmaps");
	close(buf.fd);
}

static int set_device(const char *value)
{
	return write_file(PARAMETERS "dmabuf_device", value);
}

static void test_device_parameter(void)
{
	static const char *const malformed[] = {
		"x",
		"0000:00",
		"0000:00:00",
		"0000:00:00.",
		"0000:00:00.8",
		"0000:00:20.0",
		"0000:100:00.0",
		"0000:00:00.0y",
		"0000:00:00.0 ",
	};
	struct buffer buf = export_or_die(O_RDWR, 0);
	struct dmabuf_mr mr;
	unsigned int i, accepted = 0;

	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		accepted += set_device(malformed[i]) != -EINVAL;
	tap_is(accepted, 0, "name_malformed_device_einval");

	tap_is(set_device("00ff:1e:1f.7"), 0, "name_absent_device");
	tap_is(reg(&buf, MR_ALL_ACCESS, &mr), -EOPNOTSUPP, "register_absent_device_eopnotsupp");
	tap_is(set_device("0000:00:00.0"), 0, "name_driverless_device");
	tap_is(reg(&buf, MR_ALL_ACCESS, &mr), -EOPNOTSUPP, "register_driverless_device_eopnotsupp");
	tap_is(set_device(bdf), 0, "name_exporter_itself");
	tap_is(reg(&buf, MR_ALL_ACCESS, &mr), 0, "register_exporter_itself");
	tap_is(write_to(&mr, 5000), 0, "write_exporter_itself");
	tap_is(dmabuf_mr_deregister(&rig.pair, &mr), 0, "deregister_exporter_itself");
	tap_is(set_device("\n"), 0, "name_no_device");
	tap_is(reg(&buf, MR_ALL_ACCESS, &mr), 0, "register_own_device");
	dmabuf_mr_deregister(&rig.pair, &mr);
	close(buf.fd);
}

struct race {
	struct buffer buf;
	struct dmabuf_mr mr;
	atomic_bool go;
	int result;
	atomic_uint rounds;
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
		struct race race = {.buf = export_or_die(O_RDWR, 0)};
		unsigned int moved = 0;
		pthread_t thread;

		race.mr = reg_or_die(&race.buf);
		start(&thread, revoke_on_go, &race);
		do {
			status = round % 2 ? read_from(&race.mr, race.buf.size) :
					     write_to(&race.mr, race.buf.size);
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
		odd += !!dmabuf_mr_deregister(&rig.pair, &race.mr);
		close(race.buf.fd);
	}
	tap_is(early, 0, "move_until_revoke_20_times");
	tap_is(odd, 0, "revoke_under_traffic_20_times");
	tap_is(wrong, 0, "revoke_under_traffic_leaves_bytes");
}

static void test_race_dereg(void)
{
	int round, odd = 0;

	for (round = 0; round < 150; round++) {
		struct race race = {.buf = export_or_die(O_RDWR, 0)};
		pthread_t thread;

		race.mr = reg_or_die(&race.buf);
		start(&thread, revoke_on_go, &race);
		atomic_store(&race.go, true);
		odd += !!dmabuf_mr_deregister(&rig.pair, &race.mr);
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
		struct race race = {.buf = export_or_die(O_RDWR, 0)};
		pthread_t thread;

		start(&thread, revoke_on_go, &race);
		atomic_store(&race.go, true);
		while (!(err = reg(&race.buf, MR_ALL_ACCESS, &race.mr)))
			odd += !!dmabuf_mr_deregister(&rig.pair, &race.mr);
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
		if (reg(&race->buf, MR_ALL_ACCESS, &mr) || dmabuf_mr_deregister(&rig.pair, &mr))
			race->result++;
		atomic_fetch_add(&race->rounds, 1);
	}
	return NULL;
}

/* Four threads register and deregister while data moves over another region. */
static void test_churn(void)
{
	static struct race races[4];
	struct buffer buf = export_or_die(O_RDWR, 0);
	struct dmabuf_mr mr = reg_or_die(&buf);
	const int64_t end = now_ns() + 60000000000LL;
	unsigned int i, rounds = 0, moved = 0;
	pthread_t threads[4];
	int odd = 0;

	for (i = 0; i < 4; i++) {
		races[i].buf = i < 2 ? buf : export_or_die(O_RDWR, 0);
		start(&threads[i], churn, &races[i]);
	}
	while (now_ns() < end && (rounds < 100 || moved < 5)) {
		pattern_fill(rig.host, moved++, buf.size);
		odd += !!write_to(&mr, buf.size);
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
	dmabuf_mr_deregister(&rig.pair, &mr);
	close(buf.fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die(0, "usage: rxe_revoke RDMADEV BDF BAR");
	rig_init(&rig, argv[1]);
	bdf = argv[2];
	bar = atoi(argv[3]);
	owner = export_open(bdf);
	cpu = export_cpu(bdf, bar);

	test_idle();
	test_read_only();
	test_pinned();
	test_unrevocable();
	test_exit();
	test_device_parameter();
	test_traffic();
	test_race_dereg();
	test_race_reg();
	test_churn();

	rig_done(&rig);
	return tap_done();
}
