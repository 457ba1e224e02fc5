# SPDX-License-Identifier: MIT
#: title = every example runs, with the NIC library's own call and without it
#: modules = p2pdma_export
#: needs = bar_write revoke_under_traffic mr_cache mmap_bar explain event_loop rdma_link
#: timeout = 150
#: for librxe = stock, rebuilt
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
case $LIBRXE in
stock) how="the kernel's own method" why="EOPNOTSUPP is nic-library" ;;
rebuilt) how="by ibv_reg_dmabuf_mr" why="iova 0x1234 and offset 0x0 differ" ;;
esac
prints "$how" "bar_write, registered by the way that is there" bar_write "$exporter/2" rxe0
ok "revoke_under_traffic" revoke_under_traffic "$exporter/2" rxe0 300
prints "the cache has 0 regions" "mr_cache" mr_cache "$exporter/2" rxe0 100
ok "mmap_bar" mmap_bar "$exporter/2"
prints "$why" "explain, by what the NIC's library can" explain "$exporter/2" rxe0
ok "event_loop with a revoke of its own" event_loop "$exporter/2" 200
spawn loop event_loop "$exporter/2" 0
sleep 2
ok "the function is removed under event_loop" sh -c "echo 1 >/sys/bus/pci/devices/$exporter/remove"
ok "event_loop hears of it and ends" finish loop
fails "an example says so when there is no such device" bar_write "$exporter/2" rxe0
