# SPDX-License-Identifier: MIT
#: title = the library's own test on a VFIO device
#: modules = vfio_pci vfio_iommu_type1
#: needs = p2pdma_selftest rdma_link
#: iommu = on
#: timeout = 150
exporter=$(bdf_of exporter)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "soft-RoCE comes up" rxe_up nic
tap p2pdma_selftest --backend vfio "$exporter/2" rxe0
