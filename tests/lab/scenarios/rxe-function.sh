# SPDX-License-Identifier: MIT
#: title = soft-RoCE refuses to import without a PCI function, or for one that userspace drives
#: modules = p2pdma_export vfio_pci vfio_iommu_type1 dummy
#: needs = rxe_dmabuf rxe_refuse rdma_link
#: iommu = on
#: leaks = dma_buf_phys_vec_to_sgt
exporter=$(bdf_of exporter)
parameter=/sys/module/rdma_rxe/parameters/dmabuf_device
ok "the exporter binds" bind "$exporter" p2pdma_export
[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
ok "soft-RoCE comes up" rxe_up dummy0
fails_with EOPNOTSUPP "without a function an export is refused" rxe_dmabuf rxe0 export "$exporter" 2
fails_with EOPNOTSUPP "without a function system memory is refused" rxe_dmabuf rxe0 udmabuf
ok "a function can be named" sh -c "echo $(bdf_of nic) >$parameter"
ok "its name can be read" [ "$(cat $parameter)" = "$(bdf_of nic)" ]
tap rxe_dmabuf rxe0 export "$exporter" 2
tap rxe_refuse rxe0 export "$exporter" 2
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
tap rxe_dmabuf rxe0 vfio "$exporter" 2
tap rxe_refuse rxe0 vfio "$exporter" 2
ok "the function that userspace drives is named" sh -c "echo $exporter >$parameter"
fails_with EOPNOTSUPP "for that function nothing is registered" \
	rxe_dmabuf rxe0 vfio "$exporter" 2
