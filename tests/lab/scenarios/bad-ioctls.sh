# SPDX-License-Identifier: MIT
#: title = the device node refuses whatever is wrong, with the errno its header promises
#: modules = p2pdma_export
#: needs = bad_ioctls bad_calls
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "only its owner may open the node" [ "$(stat -c %a "/dev/p2pdma/$exporter")" = 600 ]
tap bad_ioctls "/dev/p2pdma/$exporter" 2 0
tap bad_calls "/dev/p2pdma/$exporter" 2
