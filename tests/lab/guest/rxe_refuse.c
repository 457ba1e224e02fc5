// SPDX-License-Identifier: MIT
/*
 * rxe_refuse RDMADEV BUFFER...: what must be refused on a DMABUF: registrations,
 * rights, and the operations that rxe can't do there. Nothing that was refused may
 * change a byte, and afterwards the buffer must still work.
 */
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "common/uverbs.h"
#include "rxe_buffer.h"

#define IOVA 0x7000000000ULL

static struct rig rig;
static struct buffer buf;
static uint8_t scratch[BUFFER_SIZE];

/* Does a new memory region work, and are the connections sound? */
static bool still_works(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
	struct dmabuf_mr mr = rig_register(&rig, &range);
	int status;

	pattern_fill(rig.host, 99, 5000);
	status = rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), mr_at(&mr, IOVA + 10), 5000);
	rig_deregister(&rig, &mr);
	return status == IBV_WC_SUCCESS && buffer_differs(&buf, 10, rig.host, 5000) < 0;
}

static void refused(struct mr_request range, int want, const char *name)
{
	struct dmabuf_mr mr;
	int got = dmabuf_mr_register(&rig.pair, MR_IOCTL, &range, &mr);

	if (!got)
		rig_deregister(&rig, &mr);
	tap_is(got, want, name);
}

static void test_registration_refused(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
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
	REFUSED(-EINVAL, "register_remote_atomic_alone_einval",
		bad.access = IBV_ACCESS_REMOTE_ATOMIC);
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
	tap_is(rig_do(&rig, opcode, host_at(&rig, 0), mr_at(mr, iova), length), want, name);
	snprintf(title, sizeof(title), "%s_leaves_bytes", name);
	tap_is(buffer_differs(&buf, 0, scratch, buf.size), -1, title);
	rig_connect(&rig);
}

static void test_operations_refused(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
	struct dmabuf_mr mr, read_only, local;
	struct dmabuf_mr stale;

	range.length -= PAGE;
	mr = rig_register(&rig, &range);
	range.access = IBV_ACCESS_REMOTE_READ;
	read_only = rig_register(&rig, &range);
	range.access = IBV_ACCESS_LOCAL_WRITE;
	local = rig_register(&rig, &range);

	fails(IBV_WR_RDMA_WRITE, &mr, IOVA + range.length, 1, IBV_WC_REM_ACCESS_ERR,
	      "write_past_the_end");
	fails(IBV_WR_RDMA_WRITE, &mr, IOVA + range.length - 10, 11, IBV_WC_REM_ACCESS_ERR,
	      "write_over_the_end");
	fails(IBV_WR_RDMA_WRITE, &mr, IOVA - 1, 10, IBV_WC_REM_ACCESS_ERR,
	      "write_before_the_start");
	fails(IBV_WR_RDMA_WRITE, &read_only, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_to_read_only");
	fails(IBV_WR_RDMA_WRITE, &local, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_to_local_only");
	fails(IBV_WR_RDMA_READ, &local, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "read_from_local_only");
	fails(IBV_WR_LOCAL_INV, &mr, IOVA, 0, IBV_WC_WR_FLUSH_ERR, "local_invalidate");
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, 0), mr_at(&read_only, IOVA), PAGE), 0,
	       "read_from_read_only");

	stale = mr;
	rig_deregister(&rig, &mr);
	fails(IBV_WR_RDMA_WRITE, &stale, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_after_dereg");
	rig_deregister(&rig, &read_only);
	rig_deregister(&rig, &local);
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
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
	struct dmabuf_mr mr = rig_register(&rig, &range);
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
	rig_deregister(&rig, &mr);
	tap_ok(still_works(), "work_after_refused_verbs", 0);
}

static void test_foreign_pd(void)
{
	struct pair other = rig.pair;
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
	struct dmabuf_mr mr;

	other.pd = ibv_alloc_pd(rig.pair.context);
	if (!other.pd || dmabuf_mr_register(&other, MR_IOCTL, &range, &mr))
		die(0, "another PD");
	fails(IBV_WR_RDMA_WRITE, &mr, IOVA, 10, IBV_WC_REM_ACCESS_ERR, "write_foreign_pd");
	tap_ok(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      10) != IBV_WC_SUCCESS,
	       "write_from_foreign_pd", 0);
	rig_connect(&rig);
	rig_deregister(&rig, &mr);
	ibv_dealloc_pd(other.pd);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die(0, "usage: rxe_refuse RDMADEV BUFFER...");
	rig_init(&rig, argv[1]);
	buffer_init(&buf, argc - 2, argv + 2);

	test_registration_refused();
	test_operations_refused();
	test_other_verbs_refused();
	test_foreign_pd();

	rig_done(&rig);
	return tap_done();
}
