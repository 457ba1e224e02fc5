# SPDX-License-Identifier: MIT
#: title = exports are taken back from soft-RoCE, pinned, unrevocable or neither, in races too
#: modules = p2pdma_export
#: needs = rxe_revoke rxe_race rdma_link
#: timeout = 480
#: for topology = root-ports, switch
#: for iommu = off, on
LIMIT=400
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
tap rxe_revoke rxe0 "$exporter" 2
tap rxe_race rxe0 "$exporter" 2
