# SPDX-License-Identifier: MIT
#: title = a program of the library loses its memory's device, or its NIC
#: modules = p2pdma_export
#: needs = p2pdma_loss rdma_link
#: timeout = 150
exporter=$(bdf_of exporter)

# hold_what LOST memory|nic: a program that is about to lose it.
hold_what() {
	spawn loss p2pdma_loss "$exporter/2" rxe0 "$2"
	ok "$1: memory is registered and written" wait_for 30 says loss READY
	TAP_LABEL="loss, $1"
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
for way in unbind remove unplug; do
	hold_what $way memory
	ok "$way: the function goes" lose exporter $way
	tap finish loss
	ok "$way: it comes back" regain "$exporter" $way p2pdma_export ivshmem-plain,id=exporter,bus=port0,memdev=spare
done
hold_what nic nic
ok "nic: the RDMA device goes" rdma_link del rxe0
tap finish loss
