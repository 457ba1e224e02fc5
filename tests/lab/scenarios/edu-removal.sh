# SPDX-License-Identifier: MIT
#: title = the exporter or the edu device goes away while its engine writes to the BAR
#: modules = p2pdma_export p2pdma_edu
#: needs = edu_traffic
#: timeout = 120
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
#: for way = unbind, remove, unplug
#: for victim = exporter, edu
#: for iommu = off, on
exporter=$(bdf_of exporter)
edu=$(bdf_of edu)
victim=$(bdf_of "$VICTIM")

# take_away: what happens to the victim.
take_away() {
	case $WAY in
	unbind) unbind "$victim" ;;
	remove) echo 1 >"/sys/bus/pci/devices/$victim/remove" ;;
	unplug) host device_del "$VICTIM" ;;
	esac
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "the edu driver has its device" wait_for 5 test -c "/dev/p2pdma-edu/$edu"
spawn traffic edu_traffic -t 30 "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
ok "the engine is busy" wait_for 20 says traffic running
ok "the $VICTIM goes away ($WAY)" take_away
tap finish traffic
ok "the node is gone" sh -c "[ ! -e /dev/p2pdma/$victim ] && [ ! -e /dev/p2pdma-edu/$victim ]"

# With an importer that can't be revoked the removal has to wait, and does not hang.
if [ "$VICTIM" = exporter ] && [ "$WAY" = unbind ]; then
	ok "the exporter binds again" bind "$exporter" p2pdma_export
	spawn pinned edu_traffic -p -t 30 "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
	ok "the pinned engine is busy" wait_for 20 says pinned running
	ok "unbinding waits for the pin and ends" take_away
	tap finish pinned
fi
