# SPDX-License-Identifier: MIT
#: title = a benchmark program in the guest, for ./bench
#: when = named
#: modules = p2pdma_export
#: needs = mr_cache_hit mr_cache_miss mr_register rdma_write revoke_idle revoke_traffic rdma_link
#: librxe = rebuilt
#: timeout = 300
#: for bench = mr_cache_hit, mr_cache_miss, mr_register, rdma_write, revoke_idle, revoke_traffic
LIMIT=280
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
ok "$BENCH" tells "$BENCH" "$exporter/2" rxe0 --json
