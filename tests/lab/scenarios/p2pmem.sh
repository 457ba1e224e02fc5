# SPDX-License-Identifier: MIT
#: title = memory with struct pages: an NVMe drive writes into another one's buffer
#: needs = p2pmem_kernel p2pdma_p2pmem nvme_cmb p2pctl rdma_link explain_limits explain_node
#: for topology = switch, root-ports
#: for cpu = Skylake-Client, EPYC
#: for iommu = off, on
#: except = topology=switch cpu=EPYC
#: except = topology=switch iommu=on
#: except = topology=root-ports cpu=Skylake-Client
#: except = topology=root-ports iommu=off
#: file = data0:32
#: file = data1:32
#: file = data2:32
#: file = data3:32
#: qemu = -blockdev driver=file,node-name=disk0,filename=@files@/data0
#: qemu = -blockdev driver=file,node-name=disk1,filename=@files@/data1
#: qemu = -blockdev driver=file,node-name=disk2,filename=@files@/data2
#: qemu = -blockdev driver=file,node-name=disk3,filename=@files@/data3
#: device = nvme,id=ssd0,serial=ssd0,drive=disk0,bus=spare0
#: device = nvme,id=ssd1,serial=ssd1,drive=disk1,bus=spare1,cmb_size_mb=16
#: device = nvme,id=far,serial=far,drive=disk2,bus=pcie.0
#: device = virtio-blk-pci,id=plain,drive=disk3,bus=pcie.0,disable-legacy=on,iommu_platform=on
#: timeout = 200
disk_of() {
	set -- "/sys/bus/pci/devices/$1"/nvme/nvme*/nvme*n1
	[ -e "$1" ] && echo "/dev/$(basename "$1")"
}

has_disk() {
	disk_of "$1" >/dev/null
}

# The bytes that a drive has, as the host sees them.
same_bytes() {
	[ "$(host barfile "$1" sha256 0 "$3")" = "$(host barfile "$2" sha256 0 "$3")" ]
}

ssd0=$(bdf_of ssd0)
ssd1=$(bdf_of ssd1)
far=$(bdf_of far)
pool=$ssd1/p2pmem
ok "the first drive comes up" wait_for 20 has_disk "$ssd0"
ok "so does the one with a memory buffer" wait_for 20 has_disk "$ssd1"
ok "and the one far away" wait_for 20 has_disk "$far"
ok "virtio-blk comes up" modprobe virtio_blk
ok "its disk is there" wait_for 5 [ -e /dev/vda ]
ok "soft-RoCE comes up" rxe_up nic
disk0=$(disk_of "$ssd0")
disk1=$(disk_of "$ssd1")

tap p2pmem_kernel "$ssd1" rxe0 "$disk0" /dev/vda

case $TOPOLOGY in
switch) map_type=BUS_ADDR ;;
root-ports) map_type=THRU_HOST_BRIDGE ;;
esac
ok "random bytes for the first drive" \
	dd if=/dev/urandom of="$disk0" bs=1M count=2 conv=fsync
fails "the drives differ" same_bytes data0 data1 0x200000
prints "$map_type" "a copy from drive to drive through the buffer" \
	nvme_cmb "$pool" "$disk0" "$disk1" 2048
ok "the bytes have arrived" same_bytes data0 data1 0x200000
ok "the path is known by the disk's name" p2pctl check "$pool" "$(basename "$disk0")"
case $TOPOLOGY in
switch)
	prints NOT_SUPPORTED "p2pctl says who can't reach it" \
		sh -c "p2pctl check $pool $(basename "$(disk_of "$far")"); true"
	fails "so does the example, before the i/o" nvme_cmb "$pool" "$(disk_of "$far")" "$disk1"
	;;
root-ports)
	ok "from the host bridge itself, too" nvme_cmb "$pool" "$(disk_of "$far")" "$disk1" 64
	;;
esac

spawn held p2pdma_p2pmem "$pool" rxe0 "$disk0"
ok "the library's turn" wait_for 60 says held "# READY"
case $TOPOLOGY in
switch)
	ok "the driver leaves while its memory is mapped and written" unbind "$ssd1"
	;;
root-ports)
	ok "the drive is unplugged while its memory is mapped and written" host device_del ssd1
	;;
esac
tap finish held
ok "the pool has gone" [ ! -e "/sys/bus/pci/devices/$ssd1/p2pmem" ]
[ "$TOPOLOGY" = switch ] || return 0
ok "the driver comes back" bind "$ssd1" nvme
ok "with its disk" wait_for 20 has_disk "$ssd1"
ok "and its pool" nvme_cmb "$pool" "$disk0" "$(disk_of "$ssd1")" 64
for limit in mappings address-space; do
	TAP_LABEL=$limit tap explain_limits $limit rxe0 "$pool"
done
TAP_LABEL=causes tap explain_node pool rxe0 "$pool"
