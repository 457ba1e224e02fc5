# SPDX-License-Identifier: MIT
#: title = the main job as ./demo tells it
#: modules = p2pdma_export
#: needs = bar_write mmap_bar revoke_under_traffic event_loop rdma_link
#: timeout = 120
tell "Linux $(uname -r) is up in a virtual machine, $(cut -d. -f1 /proc/uptime) s after power-on."
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
tell "A PCI device without a driver sits at $exporter: a 64 MiB BAR and nothing else."
tell "A network card sits at $nic; soft-RoCE makes an RDMA adapter of it."
tell ""
tell "1. The device is bound to p2pdma_export."
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "its node is there" wait_for 5 test -c "/dev/p2pdma/$exporter"
ok "soft-RoCE comes up" rxe_up nic
tell "   /dev/p2pdma/$exporter is there, and so is rxe0."
tell ""
tell "2. A slice of the BAR becomes a DMABUF and a memory region; RDMA writes and reads it."
ok "bar_write" tells bar_write "$exporter/2" rxe0 1048576 /tmp/pattern
ours=$(sha256sum </tmp/pattern | cut -d' ' -f1)
theirs=$(host barfile bar sha256 0 0x100000)
tell "   SHA-256 of what was sent:                          $(echo "$ours" | cut -c1-24)..."
tell "   SHA-256 of the device's memory, seen from outside: $(echo "$theirs" | cut -c1-24)..."
ok "the bytes in the device are the bytes that were sent" [ "$ours" = "$theirs" ]
ok "mmap_bar" mmap_bar "$exporter/2"
tell ""
tell "3. The memory is taken back while writes are in flight."
ok "revoke_under_traffic" tells revoke_under_traffic "$exporter/2" rxe0
tell ""
tell "4. The administrator unbinds the device while an application holds a slice of it."
spawn listener event_loop "$exporter/2" 0
ok "the application waits for events" wait_for 10 says listener "waiting"
begin=$(cut -d' ' -f1 /proc/uptime)
ok "the function unbinds" unbind "$exporter"
end=$(cut -d' ' -f1 /proc/uptime)
ok "the application ends by itself" finish listener
sed 's/^/tell /' /tmp/listener.out >&3
tell "   unbinding took $(awk "BEGIN { printf \"%.0f\", ($end - $begin) * 1000 }") ms; no mapping of the BAR is left anywhere."
