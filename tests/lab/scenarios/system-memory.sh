# SPDX-License-Identifier: MIT
#: title = RDMA to and from DMABUFs of system memory, for comparison
#: needs = mr_data rdma_link
#: for exporter = udmabuf, heap
#: for iommu = off, on
ok "soft-RoCE comes up" rxe_up nic
tap mr_data rxe0 "$EXPORTER"
