# SPDX-License-Identifier: MIT
#: title = the cache of memory regions: bytes, bounds, fork, a revocation under traffic, a loss
#: modules = p2pdma_export
#: needs = p2pdma_mr_cache p2pd p2pd-keeper p2pctl rdma_link
#: timeout = 150
#: for librxe = stock, rebuilt
exporter=$(bdf_of exporter)

# cache MODE: of what the program exports itself (direct), or leases of p2pd.
cache() {
	TAP_LABEL="cache, $1"
	spawn cache p2pdma_mr_cache "$exporter/2" rxe0
	ok "$1: the cache has been used, and emptied by a revocation" wait_for 60 says cache READY
	[ "$1" = direct ] || prints "$exporter/2" "what it holds is a lease of p2pd" p2pctl leases
	ok "$1: the function is removed" lose exporter remove
	tap finish cache
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
cache direct
ok "the function comes back" regain "$exporter" remove p2pdma_export ""
mkdir -p /etc/p2pd /run/p2pd
spawn keeper p2pd-keeper p2pd
ok "p2pd answers" wait_for 20 p2pctl status
cache lease
