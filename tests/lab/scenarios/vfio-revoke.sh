# SPDX-License-Identifier: MIT
#: title = a VFIO device's BAR is registered and taken back in each way VFIO has
#: modules = vfio_pci vfio_iommu_type1
#: needs = mr_revoke mr_data rdma_link
#: iommu = on
#: timeout = 120
#: for way = decode-off, reset, close
#: for load = idle, traffic
exporter=$(bdf_of exporter)
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
ok "soft-RoCE comes up" rxe_up nic
flag=
[ "$LOAD" = traffic ] && flag=-t
tap mr_revoke $flag rxe0 "vfio:$exporter/2" "$WAY"
