# SPDX-License-Identifier: MIT
#: title = the cache of memory regions: bytes, bounds, fork, a revocation under traffic, a loss
#: modules = p2pdma_export
#: needs = p2pdma_mr_cache p2pd p2pd-keeper p2pctl rdma_link
#: timeout = 150
#: for librxe = stock, rebuilt
#: for mode = direct, lease
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
if [ "$MODE" = lease ]; then
	mkdir -p /etc/p2pd /run/p2pd
	spawn keeper p2pd-keeper p2pd
	ok "p2pd answers" wait_for 20 p2pctl status
fi
spawn cache p2pdma_mr_cache "$exporter/2" rxe0
ok "the cache has been used, and emptied by a revocation" wait_for 60 says cache READY
[ "$MODE" = direct ] || prints "$exporter/2" "what it holds is a lease of p2pd" p2pctl leases
ok "the function is removed" sh -c "echo 1 >/sys/bus/pci/devices/$exporter/remove"
tap finish cache
