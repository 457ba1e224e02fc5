# SPDX-License-Identifier: MIT
#: title = soft-RoCE moves bytes of every kind of DMABUF and refuses the rest
#: modules = p2pdma_export
#: needs = rxe_dmabuf rxe_refuse rxe_atomic rxe_resend rdma_link
#: timeout = 600
#: leaks = dma_buf_phys_vec_to_sgt
#: for topology = root-ports, switch
#: for iommu = off, on
LIMIT=300
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
tap rxe_dmabuf rxe0 udmabuf
tap rxe_refuse rxe0 udmabuf
tap rxe_atomic rxe0 udmabuf
tap rxe_dmabuf rxe0 heap
tap rxe_refuse rxe0 heap
tap rxe_atomic rxe0 heap
tap rxe_dmabuf rxe0 export "$exporter" 2
tap rxe_refuse rxe0 export "$exporter" 2
tap rxe_atomic rxe0 export "$exporter" 2
tap rxe_resend rxe0 export "$exporter" 2
[ "$IOMMU" = on ] || return 0
modprobe -a vfio_pci vfio_iommu_type1
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
if group_is_viable "$exporter"; then
	tap rxe_dmabuf rxe0 vfio "$exporter" 2
	tap rxe_refuse rxe0 vfio "$exporter" 2
	tap rxe_atomic rxe0 vfio "$exporter" 2
else
	skip "soft-RoCE imports from VFIO" "the IOMMU group holds the card, too"
fi
