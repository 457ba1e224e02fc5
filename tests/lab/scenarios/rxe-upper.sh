# SPDX-License-Identifier: MIT
#: title = soft-RoCE on a network device made of others imports for the card below
#: modules = p2pdma_export virtio_net
#: needs = rxe_dmabuf rxe_refuse rdma_link
#: for upper = bridge, bonding
if ! modprobe "$UPPER" 2>/dev/null; then
	skip "soft-RoCE on a $UPPER device" "the guest has no module $UPPER"
	return 0
fi
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
card=$(interface_of "$(bdf_of nic)")
kind=${UPPER%ing}
ok "a $kind is made of the card" sh -c "ip link add upper0 type $kind &&
	ip link set $card down && ip link set $card master upper0 && ip link set $card up"
ok "soft-RoCE comes up" rxe_up upper0
tap rxe_dmabuf rxe0 export "$exporter" 2
tap rxe_refuse rxe0 export "$exporter" 2
