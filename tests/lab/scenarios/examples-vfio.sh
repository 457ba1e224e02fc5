# SPDX-License-Identifier: MIT
#: title = the VFIO example runs
#: modules = vfio_pci vfio_iommu_type1
#: needs = vfio_export rdma_link
#: iommu = on
#: leaks = dma_buf_phys_vec_to_sgt
#: timeout = 120
exporter=$(bdf_of exporter)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "soft-RoCE comes up" rxe_up nic
ok "vfio_export" vfio_export "$exporter/2" rxe0
