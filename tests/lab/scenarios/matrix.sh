# SPDX-License-Identifier: MIT
#: title = every exporter with every importer: data, map type, how long a revoke takes
#: modules = p2pdma_export p2pdma_edu vfio_pci vfio_iommu_type1
#: needs = mr_data mr_latency edu_data path_query rdma_link
#: timeout = 240
#: leaks = dma_buf_phys_vec_to_sgt
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
#: for topology = root-ports, switch, two-bridges
#: for cpu = EPYC, Skylake-Client
#: for iommu = off, on, pt
#: except = cpu=Skylake-Client iommu=pt
#: except = cpu=Skylake-Client iommu=on
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
edu=$(bdf_of edu)
place="topology=$TOPOLOGY cpu=$CPU iommu=$IOMMU"

# What the kernel has to decide here; see calc_map_type_and_dist() in drivers/pci/p2pdma.c.
case $TOPOLOGY-$CPU in
switch-*) map=BUS_ADDR ;;
*-EPYC) map=THRU_HOST_BRIDGE ;;
*) map=NOT_SUPPORTED ;;
esac
[ "$map-$IOMMU" = THRU_HOST_BRIDGE-on ] && dma=iova || dma=bus

# The verdict of the last program and, where it has measured one, the revoke's latency.
outcome() {
	[ "$RC" -eq 0 ] && echo "result=works" || echo "result=FAILS"
}

latency() {
	awk '$1 == "LATENCY" {
		printf "%s=%s", $2, $3
		for (i = 4; i <= NF; i++)
			printf "/%s", $i
		printf " "
	}' $OUT
}

# with_rxe EXPORTER SPEC WAY: WAY "none" where the memory can't be revoked.
with_rxe() {
	TAP_LABEL="$1 to rxe"
	if [ "$map" = NOT_SUPPORTED ] && [ "$3" != none ]; then
		tap mr_data -e EINVAL rxe0 "$2"
		row exporter="$1" importer=rxe $place map=$map result=EINVAL
		return
	fi
	tap mr_data rxe0 "$2"
	result=$(outcome)
	times=
	if [ "$3" != none ]; then
		tap mr_latency 15 rxe0 "$2" "$3"
		times=$(latency)
	fi
	row exporter="$1" importer=rxe $place map="$(map_of "$3")" $result $times
}

with_edu() {
	TAP_LABEL="$1 to edu"
	if [ "$map" = NOT_SUPPORTED ] && [ "$3" != none ]; then
		tap edu_data -e EINVAL "/dev/p2pdma-edu/$edu" "$2" "$3"
		row exporter="$1" importer=edu $place map=$map result=EINVAL
		return
	fi
	flag=
	[ "$map-$IOMMU" = BUS_ADDR-on ] && [ "$3" != none ] && flag=-t
	tap edu_data $flag "/dev/p2pdma-edu/$edu" "$2" "$3"
	result=$(outcome)
	[ -n "$flag" ] && [ "$RC" -eq 0 ] && result="result=maps"
	times=$(latency)
	seen=$(awk '$1 == "DMA" { print $2 }' $OUT)
	[ "$3" = none ] || ok "$1 to edu: the device is given a $dma address" [ "$seen" = "$dma" ]
	row exporter="$1" importer=edu $place map="$(map_of "$3")" $result $times
}

map_of() {
	[ "$1" = none ] && echo system || echo "$map"
}

ok "soft-RoCE comes up" rxe_up nic
ok "the edu driver has its device" wait_for 5 test -c "/dev/p2pdma-edu/$edu"

ok "the exporter binds" bind "$exporter" p2pdma_export
prints "$map distance" "PATH to the network card says $map" path_query "export:$exporter/2" "$nic"
prints "$map distance" "PATH to the edu device says $map" path_query "export:$exporter/2" "$edu"
with_rxe export "export:$exporter/2" ioctl
with_edu export "export:$exporter/2" ioctl

if [ "$IOMMU" = on ]; then
	ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
	if group_is_viable "$exporter"; then
		with_rxe vfio "vfio:$exporter/2" decode-off
		with_edu vfio "vfio:$exporter/2" decode-off
	else
		skip "the vfio exporter" "its IOMMU group holds an importer, too"
	fi
fi

for memory in udmabuf heap; do
	with_rxe $memory $memory none
	with_edu $memory $memory none
done
