# SPDX-License-Identifier: MIT
#: title = the export is taken back in every way the process or sysfs can
#: modules = p2pdma_export
#: needs = mr_revoke rdma_link
#: timeout = 240
#: for iommu = off, on
exporter=$(bdf_of exporter)
ok "soft-RoCE comes up" rxe_up nic
for way in ioctl all close reset unbind remove; do
	for load in idle traffic; do
		if [ ! -e "/sys/bus/pci/devices/$exporter" ]; then
			echo 1 >/sys/bus/pci/rescan
			ok "a rescan finds the removed function" wait_for 5 \
				test -e "/sys/bus/pci/devices/$exporter"
		fi
		ok "the exporter binds" bind "$exporter" p2pdma_export
		flag=
		[ $load = traffic ] && flag=-t
		TAP_LABEL="$way, $load"
		tap mr_revoke $flag rxe0 "export:$exporter/2" $way
	done
done
