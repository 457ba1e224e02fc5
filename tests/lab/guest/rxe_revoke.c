// SPDX-License-Identifier: MIT
/*
 * rxe_revoke RDMADEV BDF BAR: memory regions on exports that are taken back, and
 * the parameters of rdma_rxe that play other importers.
 *
 * After a revocation nothing may be moved any more: the CPU marks the memory,
 * by another export, and looks whether the marks stay.
 */
#include <sys/wait.h>

#include "rxe_export.h"

#define PARAMETERS "/sys/module/rdma_rxe/parameters/"

static struct rig rig;
static struct source source;

static void set_parameter(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	must(write_file(path, value), path);
}

/* Each operation on eight bytes, with an MR that is dead. */
static void atomics_fail(const struct dmabuf_mr *mr)
{
	static const struct {
		struct atomic_op op;
		const char *name;
	} cases[] = {
		{{IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 1}, "fetch_and_add_after_revoke"},
		{{IBV_WR_ATOMIC_CMP_AND_SWP, 0, 1}, "compare_and_swap_after_revoke"},
		{{IBV_WR_ATOMIC_WRITE, 0, 1}, "atomic_write_after_revoke"},
	};
	uint64_t before;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		tap_is(rig_atomic(&rig, &cases[i].op, mr_at(mr, IOVA), &before),
		       IBV_WC_REM_ACCESS_ERR, cases[i].name);
		rig_connect(&rig);
	}
}

static void test_idle(void)
{
	static const struct atomic_op add = {IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 1};
	static uint8_t marks[BUFFER_SIZE];
	struct buffer buf = export_or_die(&source, O_RDWR, 0);
	struct dmabuf_mr mr = reg_or_die(&rig, &buf);
	struct dmabuf_mr other;

	tap_is(write_to(&rig, &mr, buf.size), 0, "write_before_revoke");
	tap_is(take_back(&buf), 0, "revoke");
	tap_is(take_back(&buf), 0, "revoke_again");
	mark(&buf, 1, marks);

	tap_is(write_to(&rig, &mr, 100), IBV_WC_REM_ACCESS_ERR, "write_after_revoke");
	rig_connect(&rig);
	tap_is(read_from(&rig, &mr, 100), IBV_WC_REM_ACCESS_ERR, "read_after_revoke");
	rig_connect(&rig);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      100),
	       IBV_WC_WR_FLUSH_ERR, "write_from_after_revoke");
	rig_connect(&rig);
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, (struct place){IOVA, mr.lkey}, host_at(&rig, 0), 100),
	       IBV_WC_LOC_PROT_ERR, "read_into_after_revoke");
	rig_connect(&rig);
	tap_is(rig_atomic_to(&rig, &add, (struct place){IOVA, mr.lkey}, host_at(&rig, 0)),
	       IBV_WC_LOC_PROT_ERR, "add_whose_result_goes_into_after_revoke");
	rig_connect(&rig);
	tap_is(rig_send(&rig, host_at(&rig, 0), (struct place){IOVA, mr.lkey}, 100),
	       IBV_WC_REM_OP_ERR, "receive_after_revoke");
	rig_connect(&rig);
	atomics_fail(&mr);

	tap_is(buffer_differs(&buf, 0, marks, buf.size), -1, "revoke_leaves_bytes");
	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &other), -ENODEV, "register_after_revoke_enodev");
	tap_is(status_of(&buf).nr_mappings, 0, "revoke_leaves_no_mapping");
	tap_is(dereg(&rig, &mr), 0, "deregister_after_revoke");
	tap_is(status_of(&buf).nr_attachments, 0, "deregister_detaches");
	close(buf.fd);
}

static void test_read_only(void)
{
	struct buffer buf = export_or_die(&source, O_RDONLY, 0);
	struct dmabuf_mr mr;
	uint8_t want[100];

	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &mr), -EACCES, "register_writing_read_only_eacces");
	tap_is(reg(&rig, &buf, IBV_ACCESS_LOCAL_WRITE, &mr), -EACCES,
	       "register_local_write_read_only_eacces");
	tap_is(reg(&rig, &buf, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC, &mr), -EACCES,
	       "register_atomic_read_only_eacces");
	tap_is(reg(&rig, &buf, IBV_ACCESS_REMOTE_READ, &mr), 0, "register_reading_read_only");
	pattern_fill(want, 2, sizeof(want));
	buffer_write(&buf, 0, want, sizeof(want));
	tap_is(read_from(&rig, &mr, sizeof(want)), 0, "read_read_only");
	tap_is(memcmp(rig.host, want, sizeof(want)), 0, "read_read_only_bytes_arrive");
	tap_is(dereg(&rig, &mr), 0, "deregister_read_only");
	close(buf.fd);
}

static void test_pinned(void)
{
	struct buffer buf = export_or_die(&source, O_RDWR, 0);
	struct dmabuf_mr mr;

	set_parameter("dmabuf_pin", "Y");
	mr = reg_or_die(&rig, &buf);
	set_parameter("dmabuf_pin", "N");
	tap_is(status_of(&buf).nr_pins, 1, "register_pinned");
	tap_is(write_to(&rig, &mr, 5000), 0, "write_pinned");
	tap_is(take_back(&buf), 0, "revoke_pinned");
	tap_is(status_of(&buf).nr_pins, 0, "revoke_unpins");
	tap_is(write_to(&rig, &mr, 5000), IBV_WC_REM_ACCESS_ERR, "write_after_revoke_pinned");
	rig_connect(&rig);
	tap_is(dereg(&rig, &mr), 0, "deregister_pinned");
	close(buf.fd);
}

static void test_unrevocable(void)
{
	struct buffer strict = export_or_die(&source, O_RDWR, 0);
	struct buffer lenient = export_or_die(&source, O_RDWR, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct dmabuf_mr mr;

	set_parameter("dmabuf_revocable", "N");
	tap_is(reg(&rig, &strict, MR_ALL_ACCESS, &mr), -EOPNOTSUPP,
	       "register_unrevocable_eopnotsupp");
	mr = reg_or_die(&rig, &lenient);
	set_parameter("dmabuf_revocable", "Y");
	tap_is(status_of(&lenient).nr_pins, 1, "register_unrevocable_pins");
	tap_ok(status_of(&lenient).nr_unrevocable > 0, "register_unrevocable_is_known", 0);
	tap_is(take_back(&lenient), -EBUSY, "revoke_unrevocable_ebusy");
	tap_is(write_to(&rig, &mr, 5000), 0, "write_unrevocable_after_revoke");
	tap_is(dereg(&rig, &mr), 0, "deregister_unrevocable");
	tap_is(status_of(&lenient).nr_pins, 0, "deregister_unpins");
	tap_is(take_back(&lenient), 0, "revoke_after_deregister");
	close(strict.fd);
	close(lenient.fd);
}

/* A NIC that has no atomic operations on DMABUFs, as some haven't. */
static void test_no_atomics(void)
{
	struct buffer buf = export_or_die(&source, O_RDWR, 0);
	struct dmabuf_mr mr;

	set_parameter("dmabuf_atomics", "N");
	tap_is(reg(&rig, &buf, MR_ATOMIC_ACCESS, &mr), -EOPNOTSUPP,
	       "register_without_atomics_eopnotsupp");
	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &mr), 0, "register_without_atomics_the_rest");
	dereg(&rig, &mr);
	set_parameter("dmabuf_atomics", "Y");
	tap_is(reg(&rig, &buf, MR_ATOMIC_ACCESS, &mr), 0, "register_with_atomics_again");
	dereg(&rig, &mr);
	close(buf.fd);
}

/* A child registers and ends without a word. */
static void test_exit(void)
{
	struct buffer buf = export_or_die(&source, O_RDWR, 0);
	const char *device = ibv_get_device_name(rig.pair.context->device);
	pid_t child = fork();
	int status;

	if (!child) {
		struct rig mine;
		struct dmabuf_mr mr;

		rig_init(&mine, device);
		_exit(reg(&mine, &buf, MR_ALL_ACCESS, &mr) || write_to(&mine, &mr, 100) ||
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
	struct buffer buf = export_or_die(&source, O_RDWR, 0);
	struct dmabuf_mr mr;
	unsigned int i, accepted = 0;

	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		accepted += set_device(malformed[i]) != -EINVAL;
	tap_is(accepted, 0, "name_malformed_device_einval");

	tap_is(set_device("00ff:1e:1f.7"), 0, "name_absent_device");
	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &mr), -EOPNOTSUPP,
	       "register_absent_device_eopnotsupp");
	tap_is(set_device("0000:00:00.0"), 0, "name_driverless_device");
	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &mr), -EOPNOTSUPP,
	       "register_driverless_device_eopnotsupp");
	tap_is(set_device(source.bdf), 0, "name_exporter_itself");
	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &mr), 0, "register_exporter_itself");
	tap_is(write_to(&rig, &mr, 5000), 0, "write_exporter_itself");
	tap_is(dereg(&rig, &mr), 0, "deregister_exporter_itself");
	tap_is(set_device("\n"), 0, "name_no_device");
	tap_is(reg(&rig, &buf, MR_ALL_ACCESS, &mr), 0, "register_own_device");
	dereg(&rig, &mr);
	close(buf.fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die(0, "usage: rxe_revoke RDMADEV BDF BAR");
	rig_init(&rig, argv[1]);
	source = source_open(argv[2], atoi(argv[3]));

	test_idle();
	test_read_only();
	test_pinned();
	test_unrevocable();
	test_no_atomics();
	test_exit();
	test_device_parameter();

	rig_done(&rig);
	return tap_done();
}
