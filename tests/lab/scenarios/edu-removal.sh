# SPDX-License-Identifier: MIT
#: title = the exporter or the edu device goes away while its engine writes to the BAR
#: modules = p2pdma_export p2pdma_edu
#: needs = edu_traffic
#: timeout = 240
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
#: for iommu = off, on
exporter=$(bdf_of exporter)
edu=$(bdf_of edu)

# spawn_traffic TAG [-p]: the edu device's engine writes to the exporter's BAR, pinned or not.
spawn_traffic() {
	spawn "$1" edu_traffic $2 -t 30 "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
}

# lose_and_regain WAY ID BDF DRIVER QEMU-OPTIONS: what goes comes back for the next one.
lose_and_regain() {
	ok "$1 $2: the edu driver has its device" wait_for 5 test -c "/dev/p2pdma-edu/$edu"
	spawn_traffic traffic ""
	ok "$1 $2: the engine is busy" wait_for 20 says traffic running
	ok "$1 $2: it goes away" lose "$2" "$1"
	TAP_LABEL="$1 $2"
	tap finish traffic
	ok "$1 $2: the node is gone" sh -c "[ ! -e /dev/p2pdma/$3 ] && [ ! -e /dev/p2pdma-edu/$3 ]"
	ok "$1 $2: it comes back" regain "$3" "$1" "$4" "$5"
}

ok "the exporter binds" bind "$exporter" p2pdma_export
for way in unbind remove unplug; do
	# QEMU gives no memory to a second device.
	lose_and_regain $way exporter "$exporter" p2pdma_export ivshmem-plain,id=exporter,bus=port0,memdev=spare
	lose_and_regain $way edu "$edu" p2pdma_edu edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
done

# With an importer that can't be revoked the removal has to wait, and does not hang.
spawn_traffic pinned -p
ok "the pinned engine is busy" wait_for 20 says pinned running
ok "unbinding waits for the pin and ends" lose exporter unbind
TAP_LABEL=pinned
tap finish pinned
