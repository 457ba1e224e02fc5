# SPDX-License-Identifier: MIT
#: title = soft-RoCE refuses memory that a device would reach through bounce buffers
#: modules = p2pdma_export
#: needs = rxe_dmabuf rdma_link
#: cmdline = swiotlb=force
ok "soft-RoCE comes up" rxe_up nic
fails_with EOPNOTSUPP "a udmabuf is refused" rxe_dmabuf rxe0 udmabuf
fails_with EOPNOTSUPP "a dma-heap is refused" rxe_dmabuf rxe0 heap
