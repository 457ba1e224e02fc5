# SPDX-License-Identifier: MIT
#: title = every cause that can be had here is what p2pdma_explain() says
#: modules = p2pdma_export vfio_pci vfio_iommu_type1 dummy
#: needs = explain_register explain_limits explain_container explain_node explain_end rdma_link
#: iommu = on
#: timeout = 120
exporter=$(bdf_of exporter)
ok "soft-RoCE comes up" rxe_up nic
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
TAP_LABEL=vfio tap explain_end vfio rxe0 "$exporter/2"
TAP_LABEL=busy tap explain_node vfio rxe0 "$exporter/2"
ok "the exporter binds" bind "$exporter" p2pdma_export
for part in request import export; do
	TAP_LABEL=$part tap explain_register $part rxe0 "$exporter/2"
done
for part in export nic memory; do
	TAP_LABEL=$part-node tap explain_node $part rxe0 "$exporter/2"
done
for limit in memlock open-files system-files mappings address-space privilege; do
	TAP_LABEL=$limit tap explain_limits $limit rxe0 "$exporter/2"
done
for part in sandbox cgroup devices; do
	TAP_LABEL=$part tap explain_container $part rxe0 "$exporter/2"
done
if can_inject; then
	TAP_LABEL=memory tap explain_limits memory rxe0 "$exporter/2"
fi
[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
ok "soft-RoCE comes up on no device" rxe_up dummy0 rxe1
LENT=$(bdf_of port1)
DRIVERLESS=0000:00:00.0
export LENT DRIVERLESS
fails "the host bridge has no driver" [ -e "/sys/bus/pci/devices/$DRIVERLESS/driver" ]
TAP_LABEL=function tap explain_register function rxe1 "$exporter/2"

spawn hold explain_end nic rxe0 "$exporter/2"
ok "the NIC is in use" wait_for 10 says hold READY
ok "the NIC leaves" host device_del nic
TAP_LABEL=nic tap finish hold
spawn hold explain_end driver rxe1 "$exporter/2"
ok "the memory is in use" wait_for 10 says hold READY
ok "its driver leaves" unbind "$exporter"
TAP_LABEL=driver tap finish hold
ok "the exporter binds again" bind "$exporter" p2pdma_export
spawn hold explain_end memory rxe1 "$exporter/2"
ok "the memory is in use again" wait_for 10 says hold READY
ok "its device leaves" host device_del exporter
TAP_LABEL=memory tap finish hold
ok "another one comes" host device_add "ivshmem-plain,id=second,bus=port0,memdev=spare"
ok "the kernel finds it" wait_for 20 test -e "/sys/bus/pci/devices/$exporter/resource2"
ok "it binds" bind "$exporter" p2pdma_export
spawn hold explain_end slot rxe1 "$exporter/2"
ok "its memory is in use" wait_for 10 says hold READY
ok "it leaves, too" host device_del second
ok "and one of another kind comes" host device_add "edu,id=third,bus=port0"
TAP_LABEL=slot tap finish hold
