# SPDX-License-Identifier: MIT
#: title = the importing network card is hot-unplugged while it holds a mapping
#: modules = p2pdma_export
#: needs = mr_revoke rdma_link
#: timeout = 120
#: for hotplug = acpi, native
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
spawn hold mr_hold rxe0 "export:$exporter/2"
ok "memory is registered and written" wait_for 30 says hold READY
took=$(host device_del nic)
ok "the card leaves" [ -n "$took" ]
figure unplug "${took:-0}" ms
tap finish hold
ok "the function is gone" [ ! -e "/sys/bus/pci/devices/$nic" ]
ok "the exporter is free to go" unbind "$exporter"
