# SPDX-License-Identifier: MIT
"""pyverbs_mr.py DEVICE FD BYTES [revoked]: a stranger registers a DMABUF.

Fills it by RDMA with bytes i * 7 + 3 and reads them back, using nothing but
pyverbs. With "revoked", registering must fail with ENODEV.
"""

import errno
import sys
import time

import pyverbs.enums as e
from pyverbs.addr import AHAttr, GlobalRoute
from pyverbs.cq import CQ
from pyverbs.device import Context
from pyverbs.mr import MR, DmaBufMR
from pyverbs.pd import PD
from pyverbs.pyverbs_error import PyverbsRDMAError
from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
from pyverbs.wr import SGE, SendWR

ACCESS = e.IBV_ACCESS_LOCAL_WRITE | e.IBV_ACCESS_REMOTE_WRITE | e.IBV_ACCESS_REMOTE_READ


def find_gid(context):
    """The index and address of the card's IPv4 RoCE v2 address."""
    for entry in context.query_gid_table(16):
        gid = context.query_gid(1, entry.gid_index)
        if "0000:ffff:" in str(gid) and entry.gid_type == e.IBV_GID_TYPE_ROCE_V2:
            return entry.gid_index, gid
    raise SystemExit("no IPv4 address")


def connect(context, pd, cq):
    """Two queue pairs of one device, connected to each other."""
    cap = QPCap(max_send_wr=8, max_recv_wr=8, max_send_sge=1, max_recv_sge=1)
    init = QPInitAttr(qp_type=e.IBV_QPT_RC, scq=cq, rcq=cq, cap=cap)
    pair = [QP(pd, init), QP(pd, init)]
    index, gid = find_gid(context)
    for qp, peer in ((pair[0], pair[1]), (pair[1], pair[0])):
        attr = QPAttr(port_num=1)
        attr.qp_access_flags = ACCESS
        attr.dest_qp_num = peer.qp_num
        attr.path_mtu = e.IBV_MTU_1024
        attr.max_rd_atomic = attr.max_dest_rd_atomic = 1
        attr.min_rnr_timer = 12
        attr.timeout = 16
        attr.retry_cnt = attr.rnr_retry = 7
        attr.ah_attr = AHAttr(port_num=1, is_global=1,
                              gr=GlobalRoute(dgid=gid, sgid_index=index, hop_limit=1))
        qp.to_rts(attr)
    return pair


def transfer(qp, cq, opcode, local, remote, length):
    """One RDMA operation between two memory regions, to its completion."""
    work = SendWR(opcode=opcode, num_sge=1, sg=[SGE(local.buf, length, local.lkey)])
    work.set_wr_rdma(remote.rkey, 0)
    qp.post_send(work)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        count, completions = cq.poll()
        if count:
            assert completions[0].status == e.IBV_WC_SUCCESS, completions[0].status
            return
    raise SystemExit("no completion")


def main():
    """Register, write, read back, compare."""
    device, fd, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    context = Context(name=device)
    pd = PD(context)
    try:
        target = DmaBufMR(pd, length, ACCESS, dmabuf=fd, offset=0)
    except PyverbsRDMAError as error:
        if sys.argv[4:] == ["revoked"] and error.error_code == errno.ENODEV:
            return 0
        print(f"# registering: {error}")
        return 1
    if sys.argv[4:] == ["revoked"]:
        print("# registering a revoked DMABUF worked")
        return 1
    cq = CQ(context, 16)
    host = MR(pd, length, ACCESS)
    pair = connect(context, pd, cq)
    pattern = bytes((i * 7 + 3) & 255 for i in range(length))
    host.write(pattern, length)
    transfer(pair[0], cq, e.IBV_WR_RDMA_WRITE, host, target, length)
    host.write(b"\0" * length, length)
    transfer(pair[0], cq, e.IBV_WR_RDMA_READ, host, target, length)
    if host.read(length, 0) != pattern:
        print("# what came back differs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
