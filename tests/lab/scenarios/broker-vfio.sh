# SPDX-License-Identifier: MIT
#: title = leases of a function that VFIO has: they end together, and an unbind completes
#: userland = systemd
#: kernel = distribution
#: modules = vfio_pci vfio_iommu_type1
#: needs = broker_hold p2pctl rdma_link
#: iommu = on
#: topology = switch
#: file = twin:32
#: device = ivshmem-plain,id=twin0,bus=spare0,addr=0.0,multifunction=on,memdev=spare
#: device = ivshmem-plain,id=twin1,bus=spare0,addr=0.1,memdev=twin
#: leaks = dma_buf_phys_vec_to_sgt
#: timeout = 240
. /lab/broker.sh
usual_policy
exporter=$(bdf_of exporter)
# What an administrator adds who lets p2pd have VFIO's functions: see p2pd(8).
mkdir -p /etc/udev/rules.d /etc/systemd/system/p2pd.service.d
echo 'SUBSYSTEM=="vfio", GROUP="p2pd", MODE="0660"' >/etc/udev/rules.d/61-p2pd-vfio.rules
printf '[Service]\nDeviceAllow=char-vfio rw\nDeviceAllow=/dev/vfio/vfio rw\n' \
	>/etc/systemd/system/p2pd.service.d/vfio.conf
ok "the rules are read" sh -c "udevadm control --reload && systemctl daemon-reload"
ok "the exporter binds to vfio-pci" bind "$exporter" vfio-pci
is_of_p2pd() {
	[ "$(stat -c %G /dev/vfio/[0-9]*)" = p2pd ]
}

wait_for 10 is_of_p2pd
ok "the group's node becomes p2pd's" is_of_p2pd
ok "the socket is enabled and listens" systemctl -q enable --now p2pd.socket
ok "soft-RoCE comes up" rxe_up nic
prints vfio "a user sees the provider and its backend" as alice p2pctl list
# p2pd's descriptors of VFIO devices.
open_devices() {
	ls -l "/proc/$(main_pid)/fd" | grep -c 'anon_inode:.*vfio-device'
}

are_open() {
	[ "$(open_devices)" = "$1" ]
}

ok "the path to an importer is known without the kernel module" \
	as alice p2pctl acquire -l 4k --importer rxe0 "$exporter" -- true

ok "nothing is open before the first lease" wait_for 10 are_open 0

hold alice alice rxe0 "$exporter" term
ok "SIGKILL of p2pd" kill -KILL "$(main_pid)"
ok "the next p2pd answers" wait_for 30 as carol p2pctl status
prints 1001 "it has her lease" as carol p2pctl leases
done_with alice
ok "with the last lease the function is closed" wait_for 5 are_open 0

hold alice alice -r admin rxe0 "$exporter" ack
hold bob bob -r admin rxe0 "$exporter" ack
ok "the function is revoked as a whole" as carol p2pctl revoke --function --deadline 60s "$(lease_of alice)"
tap finish alice
tap finish bob

hold alice alice -r remove rxe0 "$exporter" ack
spawn unbinding sh -c "echo $exporter >/sys/bus/pci/drivers/vfio-pci/unbind"
tap finish alice
ok "the unbind completes by itself" finish unbinding
ok "the function is free" [ ! -e "/sys/bus/pci/devices/$exporter/driver" ]

is_asked_for() {
	as carol p2pctl -b leases | grep -q revoking
}

ok "the exporter binds to vfio-pci again" bind "$exporter" vfio-pci
ok "the group's node becomes p2pd's again" wait_for 10 is_of_p2pd
hold bob bob -r remove rxe0 "$exporter" ignore
spawn unbinding sh -c "echo $exporter >/sys/bus/pci/drivers/vfio-pci/unbind"
ok "bob's lease is asked for, because of another unbind" wait_for 10 is_asked_for
ok "SIGKILL of p2pd while the unbind waits" kill -KILL "$(main_pid)"
tap finish bob
ok "the unbind completes after that, too" finish unbinding

# Of a group that can be open only once, and two functions of it at a time.
twin0=$(bdf_of twin0)
twin1=$(bdf_of twin1)
group_of() {
	readlink "/sys/bus/pci/devices/$1/iommu_group"
}

sees() {
	as alice p2pctl -b list | grep -q "$1"
}

ok "two functions are of one IOMMU group" [ "$(group_of "$twin0")" = "$(group_of "$twin1")" ]
ok "the first of them binds to vfio-pci" bind "$twin0" vfio-pci
ok "so does the second" bind "$twin1" vfio-pci
ok "the group's node becomes p2pd's" wait_for 10 is_of_p2pd
ok "a user sees the first" wait_for 10 sees "$twin0"
ok "a user sees the second" wait_for 10 sees "$twin1"
hold alice alice rxe0 "$twin0" term
hold bob bob rxe0 "$twin1" term
ok "both are open" are_open 2
done_with alice
ok "the first is closed with its lease" wait_for 5 are_open 1
ok "SIGKILL of p2pd once more" kill -KILL "$(main_pid)"
ok "the next p2pd answers again" wait_for 30 as carol p2pctl status
hold alice alice rxe0 "$twin0" term
ok "both are open again" are_open 2
done_with bob
ok "the second is closed with its lease" wait_for 5 are_open 1
done_with alice
ok "the first as well" wait_for 5 are_open 0
keeps_one() {
	[ "$(systemctl show -P NFileDescriptorStore $UNIT)" = 1 ]
}

ok "only the journal is kept now" wait_for 5 keeps_one
ok "no unit has failed in the end" [ -z "$(systemctl --failed --plain --no-legend)" ]
