# SPDX-License-Identifier: MIT
#: title = what soft-RoCE has mapped goes in time when its device or PCI function does
#: modules = p2pdma_export dummy
#: needs = rxe_hold rdma_link
#: timeout = 240
#: for iommu = off, on
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
card=virtio-net-pci,id=nic,bus=port1,netdev=net0,romfile=,disable-legacy=on
[ "$IOMMU" = off ] || card=$card,iommu_platform=on

# take_away LOSS: of the RDMA device, or of the card below it.
take_away() {
	case $1 in
	link) rdma_link del rxe0 ;;
	unplug-named) lose nic unplug ;;
	*) lose nic "$1" ;;
	esac
}

# lose_while LOSS LOAD: with a memory region that moves data (busy) or doesn't (idle).
lose_while() {
	_netdev=nic
	if [ "$1" = unplug-named ]; then
		# a network device without a PCI function, which is lent that of the card
		_netdev=dummy0
		[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
		modprobe rdma_rxe && echo "$nic" >/sys/module/rdma_rxe/parameters/dmabuf_device
	fi
	ok "$1, $2: soft-RoCE comes up" rxe_up $_netdev
	spawn hold rxe_hold rxe0 "$exporter" 2 ${2#busy}
	ok "$1, $2: the memory region works" wait_for 20 says hold READY
	ok "$1, $2: it is taken away" take_away "$1"
	if [ "$1" = unplug-named ]; then
		ok "$1, $2: the mapping goes with the card" wait_for 20 says hold "lose_mapping"
		ok "$1, $2: the RDMA device is deleted" rdma_link del rxe0
	fi
	ok "$1, $2: mapping and attachment are gone" finish hold
	[ "$1" = link ] || ok "$1, $2: the card comes back" regain "$nic" "${1%-named}" virtio-pci "$card"
}

ok "the exporter binds" bind "$exporter" p2pdma_export
for loss in link unbind remove unplug unplug-named; do
	lose_while $loss busy
	[ "$IOMMU" = on ] || lose_while $loss idle
done
