# SPDX-License-Identifier: MIT
#: title = the device node refuses whatever is wrong, with the errno its header promises
#: modules = p2pdma_export
#: needs = bad_ioctls bad_calls
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "only its owner may open the node" [ "$(stat -c %a "/dev/p2pdma/$exporter")" = 600 ]
tap bad_ioctls "/dev/p2pdma/$exporter" 2 0
tap bad_calls "/dev/p2pdma/$exporter" 2
leave=/sys/class/p2pdma_export/$exporter/allow_unrevocable
echo 1 >"$leave"
ok "the exporter leaves its driver and comes back" sh -c \
	"echo $exporter >/sys/bus/pci/drivers/p2pdma_export/unbind && echo $exporter >/sys/bus/pci/drivers_probe"
ok "what was allowed before isn't any more" [ "$(cat "$leave")" = 0 ]
