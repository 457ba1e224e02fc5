# SPDX-License-Identifier: MIT
#: title = two ranges of a VFIO device's BAR in one buffer, through the IOMMU
#: modules = vfio_pci vfio_iommu_type1 p2pdma_edu
#: needs = vfio_ranges
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
#: cpu = EPYC
#: iommu = on
#: leaks = dma_buf_phys_vec_to_sgt
exporter=$(bdf_of exporter)
edu=$(bdf_of edu)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "the edu driver has its device" wait_for 5 test -c "/dev/p2pdma-edu/$edu"
tap vfio_ranges "/dev/p2pdma-edu/$edu" "$exporter" 2
