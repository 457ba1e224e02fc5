# SPDX-License-Identifier: MIT
#: title = soft-RoCE refuses to import without a PCI function, or for one that userspace drives
#: modules = p2pdma_export vfio_pci vfio_iommu_type1 dummy
#: needs = p2pctl rxe_dmabuf rxe_refuse rdma_link
#: iommu = on
#: leaks = dma_buf_phys_vec_to_sgt
exporter=$(bdf_of exporter)
parameter=/sys/module/rdma_rxe/parameters/dmabuf_device
ok "the exporter binds" bind "$exporter" p2pdma_export
[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
ok "soft-RoCE comes up" rxe_up dummy0
fails_with EOPNOTSUPP "without a function an export is refused" rxe_dmabuf rxe0 export "$exporter" 2
fails_with EOPNOTSUPP "without a function system memory is refused" rxe_dmabuf rxe0 udmabuf
check_without() {
	p2pctl check "$exporter/2" rxe0 >/tmp/check
	[ $? -eq 6 ] && grep -q "^$exporter/2 to rxe0: no, NOT_SUPPORTED" /tmp/check &&
		grep -q "rxe0 is on no PCI function" /tmp/check
}
check_with() {
	p2pctl --json check "$exporter/2" rxe0 | tee /tmp/check
	grep -qF "\"function\": \"$1\"" /tmp/check
}
ok "check says so, and why" check_without
ok "a function can be named" sh -c "echo $(bdf_of nic) >$parameter"
ok "its name can be read" [ "$(cat $parameter)" = "$(bdf_of nic)" ]
ok "check asks about that function" check_with "$(bdf_of nic)"
prints '"device": "rxe0"' "topo has it as the importer" p2pctl --json topo
tap rxe_dmabuf rxe0 export "$exporter" 2
tap rxe_refuse rxe0 export "$exporter" 2
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
tap rxe_dmabuf rxe0 vfio "$exporter" 2
tap rxe_refuse rxe0 vfio "$exporter" 2
ok "the function that userspace drives is named" sh -c "echo $exporter >$parameter"
ok "check asks about that one, too" check_with "$exporter"
fails_with EOPNOTSUPP "for that function nothing is registered" \
	rxe_dmabuf rxe0 vfio "$exporter" 2
