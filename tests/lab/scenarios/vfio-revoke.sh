# SPDX-License-Identifier: MIT
#: title = a VFIO device's BAR is registered and taken back in each way VFIO has
#: modules = vfio_pci vfio_iommu_type1
#: needs = mr_revoke rdma_link
#: iommu = on
#: leaks = dma_buf_phys_vec_to_sgt
#: timeout = 180
exporter=$(bdf_of exporter)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "soft-RoCE comes up" rxe_up nic
if ! group_is_viable "$exporter"; then
	skip "VFIO has the exporter" "its IOMMU group holds the card, too"
	return 0
fi
for way in decode-off reset close; do
	for load in idle traffic; do
		flag=
		[ $load = traffic ] && flag=-t
		TAP_LABEL="$way, $load"
		tap mr_revoke $flag rxe0 "vfio:$exporter/2" $way
	done
done
