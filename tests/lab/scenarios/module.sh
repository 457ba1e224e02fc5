# SPDX-License-Identifier: MIT
#: title = the module can't go while it is used, and goes when it isn't
#: modules = p2pdma_export
#: needs = mr_revoke rdma_link
#: timeout = 120
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
exec 5<>"/dev/p2pdma/$exporter"
fails "the module can't be unloaded while its node is open" rmmod p2pdma_export_core
exec 5<&-
spawn revoke mr_revoke rxe0 "export:$exporter/2" external
ok "memory is registered and written" wait_for 30 says revoke READY
ok "the driver is unloaded under a memory region" rmmod p2pdma_export
tap finish revoke
ok "the core is unloaded, too" wait_for 10 rmmod p2pdma_export_core
ok "no directory of nodes is left" [ ! -e /dev/p2pdma ] || [ -z "$(ls /dev/p2pdma)" ]
ok "both load again" modprobe p2pdma_export
ok "the exporter binds again" bind "$exporter" p2pdma_export
