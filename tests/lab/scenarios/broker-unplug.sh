# SPDX-License-Identifier: MIT
#: title = functions that p2pd leases from are unbound, unplugged and plugged in again
#: userland = systemd
#: kernel = distribution
#: iommu = on
#: modules = p2pdma_export vfio_pci vfio_iommu_type1
#: needs = broker_hold p2pctl rdma_link
#: timeout = 240
. /lab/broker.sh
usual_policy
broker_up

refuses_the_node() {
	as bob p2pctl acquire -l 4096 "$exporter/2" -- true 2>&1 | grep "may not open the device node"
}

hold alice alice -r remove rxe0 "$exporter" lost
ok "the function is unbound" unbind "$exporter"
tap finish alice
ok "p2pd has heard of it" [ -z "$(provider_of)" ]
ok "the module can be unloaded and loaded" \
	sh -c "rmmod p2pdma_export p2pdma_export_core && modprobe p2pdma_export"
ok "it is bound again" bind "$exporter" p2pdma_export
ok "p2pd hears of that by itself" wait_for 10 is_free_again

old=$(provider_of)
hold alice alice -r remove rxe0 "$exporter" lost
took=$(host device_del exporter)
ok "the device is unplugged" [ -n "$took" ]
figure unplug_leased "${took:-0}" ms
tap finish alice
ok "another one is plugged into its slot" \
	host device_add "ivshmem-plain,id=second,bus=port0,memdev=spare"
ok "the kernel finds it" wait_for 20 test -e "/sys/bus/pci/devices/$exporter/resource2"
ok "it binds" bind "$exporter" p2pdma_export
ok "p2pd leases from it" wait_for 10 is_free_again
ok "it has another name" [ "$(provider_of)" != "$old" ]
fails_with "instead" "the old name means nothing any more" as bob p2pctl acquire -l 4096 "$old" -- true
hold bob bob rxe0 "$exporter" term
done_with bob

ok "it is bound to vfio-pci" bind "$exporter" vfio-pci
ok "p2pd may not open that, and says so" wait_for 10 refuses_the_node
ok "no unit has failed" [ -z "$(systemctl --failed --plain --no-legend)" ]
