# SPDX-License-Identifier: MIT
#: title = what is computed for every path is what the kernel decides and registers
#: topology = sweep
#: modules = p2pdma_export p2pdma_edu dummy
#: needs = path_sweep rdma_link
#: timeout = 150
#: for cpu = EPYC, Skylake-Client, phenom
#: for iommu = off, on, pt
#: except = cpu=phenom iommu=on
#: except = cpu=phenom iommu=pt
places="root port functions switch nested beside bridge host2 host3"
from= to=
for place in $places; do
	exporter=$(bdf_of "e-$place")
	ok "the exporter $place binds" bind "$exporter" p2pdma_export
	from="$from $place=$exporter"
	to="$to $place=$(bdf_of "n-$place")"
done
[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
ok "soft-RoCE comes up" rxe_up dummy0
# shellcheck disable=SC2086
tap path_sweep rxe0 $from to $to
awk -v machine="cpu=$CPU iommu=$IOMMU" '$1 == "PAIR" {
	print "row from=" $2 " to=" $3 " map=" $4 " distance=" $5 " " machine
}' $OUT >&3
