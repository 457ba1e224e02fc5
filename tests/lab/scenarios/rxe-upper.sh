# SPDX-License-Identifier: MIT
#: title = soft-RoCE on a network device made of others imports for the card below
#: modules = p2pdma_export virtio_net
#: needs = rxe_dmabuf rxe_refuse rdma_link
exporter=$(bdf_of exporter)
card=$(interface_of "$(bdf_of nic)")

# import_above MODULE: the card is below a device of another kind.
import_above() {
	if ! modprobe "$1" 2>/dev/null; then
		skip "soft-RoCE on a $1 device" "the guest has no module $1"
		return
	fi
	_kind=${1%ing}
	ok "a $_kind is made of the card" sh -c "ip link add upper0 type $_kind &&
		ip link set $card down && ip link set $card master upper0 && ip link set $card up"
	ok "$_kind: soft-RoCE comes up" rxe_up upper0
	TAP_LABEL="rxe_dmabuf, $_kind"
	tap rxe_dmabuf rxe0 export "$exporter" 2
	TAP_LABEL="rxe_refuse, $_kind"
	tap rxe_refuse rxe0 export "$exporter" 2
	ok "$_kind: the card is let go" sh -c "rdma_link del rxe0 && ip link del upper0"
}

ok "the exporter binds" bind "$exporter" p2pdma_export
import_above bridge
import_above bonding
