# SPDX-License-Identifier: MIT
#: title = the export is taken back in every way the process or sysfs can
#: modules = p2pdma_export
#: needs = mr_revoke rdma_link
#: timeout = 120
#: for way = ioctl, all, close, unbind, remove, reset
#: for load = idle, traffic
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
flag=
[ "$LOAD" = traffic ] && flag=-t
tap mr_revoke $flag rxe0 "export:$exporter/2" "$WAY"
