# SPDX-License-Identifier: MIT
#: title = memory regions of 100,000 pieces and of more than 4 GiB
#: modules = p2pdma_export
#: needs = rxe_large rdma_link
#: timeout = 120
#: memory = 1536
#: kernel = distribution
#: file = big:8192
#: device = ivshmem-plain,id=big,bus=spare0,memdev=big
#: for iommu = off, on
LIMIT=90
ok "soft-RoCE comes up" rxe_up nic
tap rxe_large rxe0 udmabuf 100000
note "$(grep '^#' $OUT)"
ok "the exporter binds" bind "$(bdf_of big)" p2pdma_export
tap rxe_large rxe0 export "$(bdf_of big)" 2 8
note "$(grep '^#' $OUT)"
