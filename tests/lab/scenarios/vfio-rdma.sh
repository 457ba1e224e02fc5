# SPDX-License-Identifier: MIT
#: title = RDMA writes into a VFIO device's BAR and reads it back
#: modules = vfio_pci vfio_iommu_type1
#: needs = mr_data rdma_link
#: iommu = on
#: leaks = dma_buf_phys_vec_to_sgt
#: topology = switch
exporter=$(bdf_of exporter)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "soft-RoCE comes up" rxe_up nic
if ! group_is_viable "$exporter"; then
	skip "VFIO has the exporter" "its IOMMU group holds the card, too"
	return 0
fi
tap mr_data -o /tmp/expected rxe0 "vfio:$exporter/2"
ok "the host sees the same bytes behind the BAR" \
	[ "$(sha256sum </tmp/expected | cut -d' ' -f1)" = "$(host barfile bar sha256 0x100000 0x80000)" ]
