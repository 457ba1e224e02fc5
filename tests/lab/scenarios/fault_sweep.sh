# SPDX-License-Identifier: MIT
#: title = every allocation and user copy in open, export, map and revoke fails once
#: kernel = debug
#: modules = p2pdma_export p2pdma_edu
#: needs = fault_sweep rdma_link
#: device = edu,id=edu0,bus=spare0,dma_mask=0xffffffffffffffff
#: timeout = 600
#: for iommu = off, on
LIMIT=540
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "the edu importer binds" bind "$(bdf_of edu0)" p2pdma_edu
ok "soft-RoCE comes up" rxe_up nic
ok "faults can be injected" can_inject
tap fault_sweep "/dev/p2pdma/$exporter" "/dev/p2pdma-edu/$(bdf_of edu0)" rxe0
ok "the function unbinds" unbind "$exporter"
