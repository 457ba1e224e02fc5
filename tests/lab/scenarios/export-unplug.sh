# SPDX-License-Identifier: MIT
#: title = the exporter is hot-unplugged under a memory region, and another one plugged in
#: modules = p2pdma_export
#: needs = mr_revoke mr_data rdma_link
#: timeout = 180
#: file = third:64
#: for hotplug = acpi, native
#: for topology = root-ports, switch
#: except = hotplug=acpi topology=switch
exporter=$(bdf_of exporter)

# replace LOAD OLD NEW MEMORY: OLD leaves while a memory region is on it, idle or with traffic; NEW,
# with MEMORY behind its BAR, takes its place.
replace() {
	_flag=
	[ "$1" = idle ] || _flag=-t
	spawn revoke mr_revoke $_flag rxe0 "export:$exporter/2" external
	ok "$1: memory is registered and written" wait_for 30 says revoke READY
	_took=$(host device_del "$2")
	ok "$1: the device leaves" [ -n "$_took" ]
	figure "unplug_$1" "${_took:-0}" ms
	TAP_LABEL="mr_revoke, $1"
	tap finish revoke
	ok "$1: the function is gone" [ ! -e "/sys/bus/pci/devices/$exporter" ]
	ok "$1: its node is gone" [ ! -e "/dev/p2pdma/$exporter" ]
	ok "$1: a new device is plugged in" host device_add "ivshmem-plain,id=$3,bus=port0,memdev=$4"
	ok "$1: the kernel finds it" wait_for 20 test -e "/sys/bus/pci/devices/$exporter/resource2"
	ok "$1: it binds" bind "$(bdf_of "$3")" p2pdma_export
	TAP_LABEL="mr_data, after $1"
	tap mr_data -o /tmp/expected rxe0 "export:$(bdf_of "$3")/2"
	ok "$1: the host sees the bytes behind the new BAR" \
		[ "$(sha256sum </tmp/expected | cut -d' ' -f1)" = "$(host barfile "$4" sha256 0x100000 0x80000)" ]
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
replace idle exporter second spare
replace traffic second third third
