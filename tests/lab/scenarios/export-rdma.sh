# SPDX-License-Identifier: MIT
#: title = RDMA writes into a BAR exported by our module and reads it back
#: modules = p2pdma_export
#: needs = mr_data rdma_link
#: for topology = root-ports, multi-function
#: for iommu = off, on
#: except = topology=root-ports iommu=on
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "its node is there" wait_for 5 test -c "/dev/p2pdma/$exporter"
ok "soft-RoCE comes up" rxe_up nic
tap mr_data -w ioctl -o /tmp/expected rxe0 "export:$exporter/2"
ok "the host sees the same bytes behind the BAR" \
	[ "$(sha256sum </tmp/expected | cut -d' ' -f1)" = "$(host barfile bar sha256 0x100000 0x80000)" ]
