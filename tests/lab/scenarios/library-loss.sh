# SPDX-License-Identifier: MIT
#: title = a program of the library loses its memory's device, or its NIC
#: modules = p2pdma_export
#: needs = p2pdma_loss rdma_link
#: timeout = 120
#: for lost = unbind, remove, unplug, nic
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
what=memory
[ "$LOST" = nic ] && what=nic
spawn loss p2pdma_loss "$exporter/2" rxe0 "$what"
ok "memory is registered and written" wait_for 30 says loss READY
case $LOST in
unbind) ok "the function is unbound" unbind "$exporter" ;;
remove) ok "the function is removed" sh -c "echo 1 >/sys/bus/pci/devices/$exporter/remove" ;;
unplug) ok "the device leaves" host device_del exporter ;;
nic) ok "the RDMA device goes" rdma_link del rxe0 ;;
esac
tap finish loss
