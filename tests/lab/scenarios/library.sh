# SPDX-License-Identifier: MIT
#: title = the library's own test, every promise on a real kernel
#: modules = p2pdma_export
#: needs = p2pdma_selftest rdma_link
#: timeout = 150
#: for librxe = stock, rebuilt
#: for topology = root-ports, switch
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
tap p2pdma_selftest "$exporter/2" rxe0
