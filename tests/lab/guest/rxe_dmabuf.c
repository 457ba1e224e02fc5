// SPDX-License-Identifier: MIT
/*
 * rxe_dmabuf RDMADEV BUFFER...: memory regions on a DMABUF, while all is well.
 *
 * Bytes moved by every operation that may touch such a memory region are
 * compared on the far side by the CPU's own view of the memory. Then everything
 * that must be refused: registrations, rights, and the operations that rxe
 * can't do on a DMABUF. After each refusal the buffer must still work.
 */
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "common/uverbs.h"
#include "rxe_buffer.h"

#define IOVA 0x7000000000ULL

static struct rig rig;
static struct buffer buf;
static uint8_t scratch[BUFFER_SIZE];

static struct mr_request whole(uint32_t access)
{
	return (struct mr_request){
		.fd = buf.fd, .length = buf.size, .iova = IOVA, .access = access};
}

static struct dmabuf_mr reg_or_die(const struct mr_request *range)
{
	struct dmabuf_mr mr;
	int err = dmabuf_mr_register(&rig.pair, MR_IOCTL, range, &mr);

	if (err)
		die(err, "registration");
	return mr;
}

static void dereg_or_die(struct dmabuf_mr *mr)
{
	int err = dmabuf_mr_deregister(&rig.pair, mr);

	if (err)
		die(err, "deregistration");
}

static struct place at(const struct dmabuf_mr *mr, uint64_t iova)
{
	return (struct place){iova, mr->rkey};
}

/* Does a new memory region work, and are the connections sound? */
static bool still_works(void)
{
	struct mr_request range = whole(MR_ALL_ACCESS);
	struct dmabuf_mr mr = reg_or_die(&range);
	int status;

	pattern_fill(rig.host, 99, 5000);
	status = rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), at(&mr, IOVA + 10), 5000);
	dereg_or_die(&mr);
	return status == IBV_WC_SUCCESS && buffer_differs(&buf, 10, rig.host, 5000) < 0;
}

static void test_rdma(void)
{
	struct mr_request range = whole(MR_ALL_ACCESS);
	struct dmabuf_mr mr = reg_or_die(&range);

	pattern_fill(rig.host, 1, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), at(&mr, IOVA), buf.size), 0,
	       "write_whole_buffer");
	tap_is(buffer_differs(&buf, 0, rig.host, buf.size), -1, "write_whole_buffer_bytes_arrive");

	pattern_fill(scratch, 2, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, 0), at(&mr, IOVA), buf.size), 0,
	       "read_whole_buffer");
	tap_is(memcmp(rig.host, scratch, buf.size), 0, "read_whole_buffer_bytes_arrive");

	/* as the local side of a transfer */
	pattern_fill(scratch, 3, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      buf.size),
	       0, "write_from_buffer");
	tap_is(memcmp(rig.host, scratch, buf.size), 0, "write_from_buffer_bytes_arrive");
	pattern_fill(rig.host, 4, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      buf.size),
	       0, "read_into_buffer");
	tap_is(buffer_differs(&buf, 0, rig.host, buf.size), -1, "read_into_buffer_bytes_arrive");
	dereg_or_die(&mr);
}

static void test_messages(void)
{
	struct mr_request range = whole(IBV_ACCESS_LOCAL_WRITE);
	struct dmabuf_mr mr = reg_or_die(&range);
	const uint32_t length = 3 * PAGE + 77;

	pattern_fill(rig.host, 5, length);
	tap_is(rig_send(&rig, host_at(&rig, 0), (struct place){IOVA + 5, mr.lkey}, length), 0,
	       "receive_into_buffer");
	tap_is(buffer_differs(&buf, 5, rig.host, length), -1, "receive_into_buffer_bytes_arrive");

	memset(rig.host, 0, length);
	buffer_read(&buf, 5, scratch, length);
	tap_is(rig_send(&rig, (struct place){IOVA + 5, mr.lkey}, host_at(&rig, 0), length), 0,
	       "send_from_buffer");
	tap_is(memcmp(rig.host, scratch, length), 0, "send_from_buffer_bytes_arrive");
	dereg_or_die(&mr);
}

/* A write into a piece: it arrives where it should and nowhere else. */
static bool write_piece(uint64_t offset, uint64_t length, uint64_t iova, uint32_t seed)
{
	struct mr_request range = {.fd = buf.fd,
				   .offset = offset,
				   .length = length,
				   .iova = iova,
				   .access = MR_ALL_ACCESS};
	struct dmabuf_mr mr = reg_or_die(&range);
	int status;

	pattern_fill(scratch, seed, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	pattern_fill(rig.host, seed + 1, length);
	memcpy(scratch + offset, rig.host, length);
	status = rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), at(&mr, iova), length);
	dereg_or_die(&mr);
	return status == IBV_WC_SUCCESS && buffer_differs(&buf, 0, scratch, buf.size) < 0;
}

static void test_pieces(void)
{
	unsigned int i, failures = 0;

	tap_ok(write_piece(0, 1, 0, 10), "write_one_byte_iova_zero", 0);
	tap_ok(write_piece(buf.size - 1, 1, IOVA + PAGE - 1, 11), "write_last_byte", 0);
	tap_ok(write_piece(0x234, 777, 0x1234567000ULL + 0x234, 12), "write_within_page", 0);
	tap_ok(write_piece(3 * PAGE + 0xffe, 4, IOVA + 0xffe, 13), "write_across_pages", 0);
	tap_ok(write_piece(5 * PAGE, 3 * PAGE, UINT64_MAX - 3 * PAGE + 1, 14),
	       "write_at_end_of_address_space", 0);
	tap_ok(write_piece(PAGE + 1, buf.size - PAGE - 2, 7 * PAGE + 1, 15),
	       "write_all_but_the_edges", 0);
	for (i = 0; i < 60; i++) {
		uint64_t offset = (i * 7919ULL) % (buf.size - 1);
		uint64_t length = 1 + (i * 104729ULL) % (buf.size - offset);

		failures += !write_piece(offset, length, (uint64_t)i << 33 | offset % PAGE, 20 + i);
	}
	tap_is(failures, 0, "write_60_pieces");
}

/* The newer method, which registers memory of either kind. */
static void test_any_method(void)
{
	struct mr_request range = {.fd = buf.fd,
				   .offset = PAGE,
				   .length = 2 * PAGE,
				   .iova = IOVA,
				   .access = MR_ALL_ACCESS};
	struct dmabuf_mr mr, host;

	tap_is(dmabuf_mr_register(&rig.pair, MR_ANY, &range, &mr), 0,
	       "register_buffer_by_any_method");
	range.fd = -1;
	range.offset = (uintptr_t)rig.host + 16 * PAGE;
	range.iova = 3 * IOVA;
	tap_is(dmabuf_mr_register(&rig.pair, MR_ANY, &range, &host), 0,
	       "register_memory_by_any_method");
	pattern_fill(rig.host + 16 * PAGE, 6, 2 * PAGE);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){range.iova, host.lkey}, at(&mr, IOVA),
		      2 * PAGE),
	       0, "write_by_any_method");
	tap_is(buffer_differs(&buf, PAGE, rig.host + 16 * PAGE, 2 * PAGE), -1,
	       "write_by_any_method_bytes_arrive");
	rig_connect(&rig);
	dereg_or_die(&host);
	dereg_or_die(&mr);
}

static void refused(struct mr_request range, int want, const char *name)
{
	struct dmabuf_mr mr;
	int got = dmabuf_mr_register(&rig.pair, MR_IOCTL, &range, &mr);

	if (!got)
		dereg_or_die(&mr);
	tap_is(got, want, name);
}

static void test_registration_refused(void)
{
	struct mr_request range = whole(MR_ALL_ACCESS);
	int null = open("/dev/null", O_RDWR);
	struct mr_request bad;

#define REFUSED(want, name, ...) (bad = range, __VA_ARGS__, refused(bad, want, name))
	REFUSED(-EINVAL, "register_length_zero_einval", bad.length = 0);
	REFUSED(-EINVAL, "register_past_the_end_einval", bad.length++);
	REFUSED(-EINVAL, "register_offset_at_the_end_einval", bad.offset = buf.size);
	REFUSED(-EINVAL, "register_offset_overflow_einval", bad.offset = -PAGE,
		bad.length = 2 * PAGE);
	REFUSED(-EINVAL, "register_length_max_einval", bad.length = UINT64_MAX);
	REFUSED(-EINVAL, "register_iova_overflow_einval", bad.iova = -PAGE, bad.length = 2 * PAGE);
	REFUSED(-EINVAL, "register_page_offsets_disagree_einval", bad.iova++, bad.length = 1);
	REFUSED(-EBADF, "register_closed_fd_ebadf", bad.fd = 999);
	REFUSED(-EBADF, "register_negative_fd_ebadf", bad.fd = -1);
	REFUSED(-EINVAL, "register_no_dmabuf_einval", bad.fd = null);
	REFUSED(-EOPNOTSUPP, "register_remote_atomic_eopnotsupp",
		bad.access |= IBV_ACCESS_REMOTE_ATOMIC);
	REFUSED(-EINVAL, "register_on_demand_einval", bad.access |= IBV_ACCESS_ON_DEMAND);
	REFUSED(-EINVAL, "register_mw_bind_einval", bad.access |= IBV_ACCESS_MW_BIND);
	REFUSED(-EINVAL, "register_zero_based_einval", bad.access |= IBV_ACCESS_ZERO_BASED);
	REFUSED(-EINVAL, "register_flush_einval", bad.access |= 1 << 8);
	REFUSED(-EINVAL, "register_remote_write_alone_einval",
		bad.access = IBV_ACCESS_REMOTE_WRITE);
#undef REFUSED
	close(null);
	tap_ok(still_works(), "work_after_refused_registrations", 0);
}

/*
 * An operation that must fail with @want and leave the buffer alone. What fails
 * on the near side rxe reports as flushed.
 */
static void fails(enum ibv_wr_opcode opcode, const struct dmabuf_mr *mr, uint64_t iova,
		  uint32_t length, int want, const char *name)
{
	char title[80];

	pattern_fill(scratch, 30, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	if (opcode == IBV_WR_ATOMIC_WRITE)
		tap_is(rig_atomic_write(&rig, at(mr, iova)), want, name);
	else
		tap_is(rig_do(&rig, opcode, host_at(&rig, 0), at(mr, iova), length), want, name);
	snprintf(title, sizeof(title), "%s_leaves_bytes", name);
	tap_is(buffer_differs(&buf, 0, scratch, buf.size), -1, title);
	rig_connect(&rig);
}

static void test_operations_refused(void)
{
	struct mr_request range = whole(MR_ALL_ACCESS);
	struct dmabuf_mr mr, read_only, local;
	struct dmabuf_mr stale;

	range.length -= PAGE;
	mr = reg_or_die(&range);
	range.access = IBV_ACCESS_REMOTE_READ;
	read_only = reg_or_die(&range);
	range.access = IBV_ACCESS_LOCAL_WRITE;
	local = reg_or_die(&range);

	fails(IBV_WR_RDMA_WRITE, &mr, IOVA + range.length, 1, IBV_WC_REM_ACCESS_ERR,
	      "write_past_the_end");
	fails(IBV_WR_RDMA_WRITE, &mr, IOVA + range.length - 10, 11, IBV_WC_REM_ACCESS_ERR,
	      "write_over_the_end");
	fails(IBV_WR_RDMA_WRITE, &mr, IOVA - 1, 10, IBV_WC_REM_ACCESS_ERR,
	      "write_before_the_start");
	fails(IBV_WR_RDMA_WRITE, &read_only, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_to_read_only");
	fails(IBV_WR_RDMA_WRITE, &local, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_to_local_only");
	fails(IBV_WR_RDMA_READ, &local, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "read_from_local_only");
	fails(IBV_WR_ATOMIC_FETCH_AND_ADD, &mr, IOVA, 8, IBV_WC_REM_ACCESS_ERR, "fetch_and_add");
	fails(IBV_WR_ATOMIC_CMP_AND_SWP, &mr, IOVA + 8, 8, IBV_WC_REM_ACCESS_ERR,
	      "compare_and_swap");
	fails(IBV_WR_ATOMIC_WRITE, &mr, IOVA, 8, IBV_WC_REM_INV_REQ_ERR, "atomic_write");
	fails(IBV_WR_LOCAL_INV, &mr, IOVA, 0, IBV_WC_WR_FLUSH_ERR, "local_invalidate");
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, 0), at(&read_only, IOVA), PAGE), 0,
	       "read_from_read_only");

	stale = mr;
	dereg_or_die(&mr);
	fails(IBV_WR_RDMA_WRITE, &stale, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_after_dereg");
	dereg_or_die(&read_only);
	dereg_or_die(&local);
	tap_ok(still_works(), "work_after_refused_operations", 0);
}

static int reregister(const struct dmabuf_mr *mr, uint32_t flags, uint32_t access)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_rereg_mr cmd;
	} request = {
		.hdr =
			{
				.command = IB_USER_VERBS_CMD_REREG_MR,
				.in_words = sizeof(request) / 4,
				.out_words = sizeof(struct ib_uverbs_rereg_mr_resp) / 4,
			},
		.cmd =
			{
				.mr_handle = mr->handle,
				.flags = flags,
				.access_flags = access,
				.pd_handle = rig.pair.pd->handle,
			},
	};
	struct ib_uverbs_rereg_mr_resp response;

	request.cmd.response = (uintptr_t)&response;
	return write(rig.pair.context->cmd_fd, &request, sizeof(request)) < 0 ? -errno : 0;
}

static int advise(uint32_t lkey, uint32_t flags)
{
	struct ib_uverbs_sge sge = {.addr = IOVA, .length = PAGE, .lkey = lkey};
	struct uverbs_call uverbs;

	uverbs_init(&uverbs, UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR);
	uverbs_add(&uverbs, UVERBS_ATTR_ADVISE_MR_PD_HANDLE, 0, rig.pair.pd->handle);
	uverbs_add(&uverbs, UVERBS_ATTR_ADVISE_MR_ADVICE, 8,
		   IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE);
	uverbs_add(&uverbs, UVERBS_ATTR_ADVISE_MR_FLAGS, 4, flags);
	uverbs_add(&uverbs, UVERBS_ATTR_ADVISE_MR_SGE_LIST, sizeof(sge), (uintptr_t)&sge);
	return uverbs_run(&uverbs, rig.pair.context);
}

static void test_other_verbs_refused(void)
{
	struct mr_request range = whole(MR_ALL_ACCESS);
	struct dmabuf_mr mr = reg_or_die(&range);
	struct ibv_mw *mw = ibv_alloc_mw(rig.pair.pd, IBV_MW_TYPE_1);
	struct ibv_mr shape = {.context = rig.pair.context,
			       .pd = rig.pair.pd,
			       .handle = mr.handle,
			       .lkey = mr.lkey,
			       .rkey = mr.rkey};
	struct ibv_mw_bind bind = {.send_flags = IBV_SEND_SIGNALED,
				   .bind_info = {.mr = &shape,
						 .addr = IOVA,
						 .length = PAGE,
						 .mw_access_flags = IBV_ACCESS_REMOTE_READ}};

	tap_is(reregister(&mr, IBV_REREG_MR_CHANGE_ACCESS, IBV_ACCESS_REMOTE_READ), -EOPNOTSUPP,
	       "rereg_access_eopnotsupp");
	tap_is(reregister(&mr, IBV_REREG_MR_CHANGE_PD, 0), -EOPNOTSUPP, "rereg_pd_eopnotsupp");
	tap_is(advise(mr.lkey, IB_UVERBS_ADVISE_MR_FLAG_FLUSH), -EINVAL, "prefetch_einval");
	tap_is(advise(mr.lkey, 0), -EINVAL, "prefetch_later_einval");
	tap_is(advise(rig.host_mr->lkey, IB_UVERBS_ADVISE_MR_FLAG_FLUSH), -EINVAL,
	       "prefetch_of_pinned_memory_einval");
	tap_is(advise(rig.host_mr->lkey, 0), -EINVAL, "prefetch_of_pinned_memory_later_einval");

	if (!mw || ibv_bind_mw(rig.pair.qp[0], mw, &bind))
		die(-errno, "memory window");
	tap_is(rig_wait(&rig), IBV_WC_WR_FLUSH_ERR, "bind_memory_window");
	rig_connect(&rig);
	ibv_dealloc_mw(mw);
	dereg_or_die(&mr);
	tap_ok(still_works(), "work_after_refused_verbs", 0);
}

static void test_foreign_pd(void)
{
	struct pair other = rig.pair;
	struct mr_request range = whole(MR_ALL_ACCESS);
	struct dmabuf_mr mr;

	other.pd = ibv_alloc_pd(rig.pair.context);
	if (!other.pd || dmabuf_mr_register(&other, MR_IOCTL, &range, &mr))
		die(0, "another PD");
	fails(IBV_WR_RDMA_WRITE, &mr, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_foreign_pd");
	tap_ok(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      10) != IBV_WC_SUCCESS,
	       "write_from_foreign_pd", 0);
	rig_connect(&rig);
	dereg_or_die(&mr);
	ibv_dealloc_pd(other.pd);
}

/* Not more at once than a kernel with CONFIG_DMA_API_DEBUG takes without a warning. */
static void test_many(void)
{
	struct mr_request range = whole(MR_ALL_ACCESS);
	struct dmabuf_mr mrs[6];
	int round, i, errors = 0;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 6; i++) {
			range.iova = IOVA + i * buf.size;
			mrs[i] = reg_or_die(&range);
		}
		pattern_fill(rig.host, round, PAGE);
		errors += !!rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0),
				   at(&mrs[5], range.iova), PAGE);
		errors += !!rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, PAGE), at(&mrs[0], IOVA),
				   PAGE);
		errors += !!memcmp(rig.host, rig.host + PAGE, PAGE);
		for (i = 0; i < 6; i++)
			dereg_or_die(&mrs[i]);
	}
	tap_is(errors, 0, "share_buffer_by_6_regions_20_times");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die(0, "usage: rxe_dmabuf RDMADEV BUFFER...");
	rig_init(&rig, argv[1]);
	buffer_init(&buf, argc - 2, argv + 2);

	test_rdma();
	test_messages();
	test_pieces();
	test_any_method();
	test_registration_refused();
	test_operations_refused();
	test_other_verbs_refused();
	test_foreign_pd();
	test_many();

	rig_done(&rig);
	return tap_done();
}
