# SPDX-License-Identifier: MIT
#: title = 1,000 rounds of bind, export, map, revoke, unbind leave no object behind
#: modules = p2pdma_export
#: needs = mr_rounds rdma_link
#: timeout = 400
#: for iommu = off, on
LIMIT=300
exporter=$(bdf_of exporter)
echo p2pdma_export >"/sys/bus/pci/devices/$exporter/driver_override"
ok "soft-RoCE comes up" rxe_up nic
# The first rounds fill what is only filled once: of each cache up to 60 objects in each of two
# sheaves of each processor, which count as used.
tap mr_rounds 300 rxe0 "$exporter" 2
slab_snapshot /tmp/before
tap mr_rounds 1000 rxe0 "$exporter" 2
ok "no slab cache has grown by a quarter of the rounds" slab_comes_back /tmp/before 250
ok "one object a round would have been seen" test "$(awk 'END { print NR }' /tmp/before)" -gt 50
prints "Total 0 objects" "no DMABUF is left" cat /sys/kernel/debug/dma_buf/bufinfo
