# SPDX-License-Identifier: MIT
#: title = what soft-RoCE has mapped goes in time when its device or PCI function does
#: modules = p2pdma_export dummy
#: needs = rxe_hold rdma_link
#: timeout = 120
#: for iommu = off, on
#: except = iommu=on load=idle
#: for load = busy, idle
#: for loss = link, unbind, remove, unplug, unplug-named
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
netdev=nic
ok "the exporter binds" bind "$exporter" p2pdma_export
if [ "$LOSS" = unplug-named ]; then
	# a network device without a PCI function, which is lent that of the card
	netdev=dummy0
	[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
	modprobe rdma_rxe && echo "$nic" >/sys/module/rdma_rxe/parameters/dmabuf_device
fi
ok "soft-RoCE comes up" rxe_up $netdev
spawn hold rxe_hold rxe0 "$exporter" 2 ${LOAD#busy}
ok "the memory region works" wait_for 20 says hold READY
case $LOSS in
link) ok "the RDMA device is deleted" rdma_link del rxe0 ;;
unbind) ok "the card's driver is unbound" unbind "$nic" ;;
remove) ok "the card is removed by sysfs" sh -c "echo 1 >/sys/bus/pci/devices/$nic/remove" ;;
unplug*) ok "the card is unplugged" host device_del nic ;;
esac
if [ "$LOSS" = unplug-named ]; then
	ok "the mapping goes with the card" wait_for 20 says hold "lose_mapping"
	ok "the RDMA device is deleted" rdma_link del rxe0
fi
ok "mapping and attachment are gone" finish hold
