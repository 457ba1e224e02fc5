# SPDX-License-Identifier: MIT
#: title = the exporter is hot-unplugged under a memory region, and another one plugged in
#: modules = p2pdma_export
#: needs = mr_revoke mr_data rdma_link
#: timeout = 120
#: for hotplug = acpi, native
#: for load = idle, traffic
#: for topology = root-ports, switch
#: except = hotplug=acpi topology=switch
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
flag=
[ "$LOAD" = traffic ] && flag=-t
spawn revoke mr_revoke $flag rxe0 "export:$exporter/2" external
ok "memory is registered and written" wait_for 30 says revoke READY
took=$(host device_del exporter)
ok "the device leaves" [ -n "$took" ]
figure unplug "${took:-0}" ms
tap finish revoke
ok "the function is gone" [ ! -e "/sys/bus/pci/devices/$exporter" ]
ok "its node is gone" [ ! -e "/dev/p2pdma/$exporter" ]
ok "a new device is plugged in" host device_add "ivshmem-plain,id=second,bus=port0,memdev=spare"
ok "the kernel finds it" wait_for 20 test -e "/sys/bus/pci/devices/$exporter/resource2"
ok "it binds" bind "$(bdf_of second)" p2pdma_export
tap mr_data -o /tmp/expected rxe0 "export:$(bdf_of second)/2"
ok "the host sees the bytes behind the new BAR" \
	[ "$(sha256sum </tmp/expected | cut -d' ' -f1)" = "$(host barfile spare sha256 0x100000 0x80000)" ]
