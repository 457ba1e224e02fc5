# SPDX-License-Identifier: MIT
#: title = eight threads do everything at once, while the function comes and goes
#: modules = p2pdma_export
#: needs = hammer
#: timeout = 150
#: for rebind = no, yes
LIMIT=100
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
# The first calls fill what is only filled once: the sheaves of each processor.
hammer 3 "/dev/p2pdma/$exporter" 2 >/dev/null
slab_snapshot /tmp/before
spawn hammer hammer 15 "/dev/p2pdma/$exporter" 2
rounds=0
while [ "$REBIND" = yes ] && [ $rounds -lt 100 ] && [ -d "/proc/$(cat /tmp/hammer.pid)" ]; do
	unbind "$exporter"
	echo "$exporter" >/sys/bus/pci/drivers/p2pdma_export/bind
	rounds=$((rounds + 1))
	sleep 0.05
done
[ "$REBIND" = no ] || ok "it was unbound and bound meanwhile ($rounds times)" [ $rounds -gt 1 ]
tap finish hammer
ok "nothing of it is left" unbind "$exporter"
ok "the module can go" rmmod p2pdma_export p2pdma_export_core
ok "no slab cache has grown by more than its sheaves hold" slab_comes_back /tmp/before 250
