# SPDX-License-Identifier: MIT
#: title = where the kernel knows no path, registering is refused and PATH says so
#: modules = p2pdma_export
#: needs = mr_data path_query rdma_link
#: cpu = Skylake-Client
#: for topology = root-ports, two-bridges
#: for iommu = off, on
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
prints NOT_SUPPORTED "PATH says no" path_query "export:$exporter/2" "$nic"
tap mr_data -e EINVAL rxe0 "export:$exporter/2"
