# SPDX-License-Identifier: MIT
#: title = p2pctl doctor finds nothing wrong where nothing is, and each thing that is made wrong
#: iommu = on
#: modules = p2pdma_export dummy
#: needs = p2pctl rdma_link
#: device = ivshmem-plain,id=second,bus=spare0,memdev=spare
#: timeout = 120
exporter=$(bdf_of exporter)
second=$(bdf_of second)
revocable=/sys/module/rdma_rxe/parameters/dmabuf_revocable

# finds SEVERITY CHECK TEXT: the last examination has that.
finds() {
	grep -E "^$1 +$2 " /tmp/doctor | grep -F -e "$3"
}

# doctor CODE [OPTION...]: an examination, and its exit code.
doctor() {
	_code=$1
	shift
	p2pctl doctor --direct --all "$@" >/tmp/doctor 2>&1
	_rc=$?
	cat /tmp/doctor
	[ $_rc -eq "$_code" ]
}

# As a user without privileges, with little room.
little() {
	(ulimit -l 64 && ulimit -n 48 && su -s /bin/sh nobody -c "p2pctl doctor --direct --all") >/tmp/doctor 2>&1
	_rc=$?
	cat /tmp/doctor
	[ $_rc -eq 6 ]
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "no RDMA device is a warning" doctor 0
ok "it is told" finds warning rdma.devices "no RDMA device"
ok "soft-RoCE comes up" rxe_up nic
ok "all is well" doctor 0 --try
tells cat /tmp/doctor
ok "soft-RoCE registers DMABUFs" finds ok rdma.register "driver rxe registers DMABUFs"
ok "the stock library is known to lack the call" finds ok rdma.library "libp2pdma calls the kernel itself"
ok "it lets itself be revoked" finds ok rdma.revoke "driver rxe"
ok "the IOMMU is seen" finds ok rdma.iommu "the IOMMU translates"
ok "the kernel says what was computed" finds ok path.disagrees "the kernel was asked about 1 pairs"
ok "a page was registered" finds ok try.register "was registered, and can be taken back"
ok "nothing is worse than unknown" sh -c "! grep -E '^(warning|problem) ' /tmp/doctor"

[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
ip link set dummy0 up
ok "soft-RoCE comes up on an interface without a card" rdma_link add rxe1 rxe dummy0
ok "an RDMA device without a function is a problem" doctor 6
ok "it is told" finds problem rdma.function "is on no PCI function"
ok "of that device alone" finds ok rdma.function "peers' memory is mapped for $(bdf_of nic)"
ok "it goes away" rdma_link del rxe1

ok "a user with little room has problems" little
tells cat /tmp/doctor
ok "little may be locked" finds problem limit.memlock "64 KiB"
ok "little may be open" finds problem limit.nofile "48 descriptors"
ok "capabilities stay hidden" finds unknown permission.process "without CAP_SYS_ADMIN"
ok "the node is root's" finds warning provider.export "EACCES"

modprobe -a vfio_pci vfio_iommu_type1
ok "another function binds to VFIO" bind "$second" vfio-pci
ok "whether VFIO exports isn't known" doctor 8
ok "and it says how to know" finds unknown kernel.vfio "only an open function tells"
ok "it is known when tried" doctor 0 --try
ok "this VFIO exports" finds ok try.vfio "VFIO exports its BARs"

echo N >$revocable
ok "an importer that can't be revoked is a warning" doctor 8
ok "with its remedy" finds warning rdma.revoke "P2PDMA_BUFFER_ALLOW_UNREVOCABLE"
ok "and a problem when tried" doctor 6 --try
ok "the kernel's answer is told" finds problem try.register "EOPNOTSUPP"
echo Y >$revocable

ok "the adapter's interface goes down" ip link set "$(cat /sys/class/infiniband/rxe0/parent)" down
ok "a port that is down is a warning" doctor 0 --try
ok "it is told" finds warning rdma.port "DOWN"

ok "the node goes away" mv /dev/infiniband/uverbs0 /dev/infiniband/hidden
ok "a device without its node is a problem" doctor 6
ok "the rest is still looked at" finds ok provider.export "$exporter"
mv /dev/infiniband/hidden /dev/infiniband/uverbs0

ok "the module goes away" sh -c "echo $exporter >/sys/bus/pci/drivers/p2pdma_export/unbind && rmmod p2pdma_export"
ok "then there is only VFIO" doctor 8
ok "which is told" finds ok kernel.module "revokes a whole function at a time"
ok "with it gone, too" unbind "$second"
ok "nothing exports" doctor 0
ok "that is a warning" finds warning kernel.module "not loaded"

ok "a report is written" sh -c "p2pctl doctor --direct --bundle /tmp/r.tar || [ \$? -eq 8 ]"
ok "it is a tar archive" sh -c "tar xf /tmp/r.tar -C /tmp && grep -q rxe0 /tmp/p2pctl-doctor/sysfs.txt"
