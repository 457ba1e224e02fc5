# SPDX-License-Identifier: MIT
#: title = one VFIO device's DMA engine in the BAR of another, through iommufd
#: modules = vfio_pci p2pdma_export
#: needs = iommufd_peer iommufd_refuse
#: kernel = debug
#: iommu = on
#: timeout = 120
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
#: device = ivshmem-plain,id=other,bus=spare1,memdev=spare
#: allow = DMAR: (DRHD|\[DMA)
exporter=$(bdf_of exporter)
edu=$(bdf_of edu)
other=$(bdf_of other)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "the edu device binds to vfio-pci" bind "$edu" vfio-pci
ok "the other one binds to p2pdma_export" bind "$other" p2pdma_export
tap iommufd_refuse "$exporter/2" "$edu" "$other/2"
tap iommufd_peer "$exporter/2" "$edu"
