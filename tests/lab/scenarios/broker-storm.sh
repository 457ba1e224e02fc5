# SPDX-License-Identifier: MIT
#: title = p2pd is stopped in a storm of uevents, and functions come and go that it never hears of
#: userland = systemd
#: kernel = distribution
#: modules = p2pdma_export
#: needs = broker_hold p2pctl rdma_link
#: device = nvme,id=nvme0,bus=spare1,serial=lab,cmb_size_mb=64
#: timeout = 300
. /lab/broker.sh
usual_policy
# What p2pd may have without a capability: room for a hundred events or so.
echo 65536 >/proc/sys/net/core/rmem_max
broker_up
drive=$(bdf_of nvme0)
nic=$(bdf_of nic)

lists() {
	as bob p2pctl list --no-headings 2>/dev/null | grep -q "^$1@"
}

# storm COUNT BDF: events that say nothing.
storm() {
	_left=$1
	while [ "$_left" -gt 0 ]; do
		echo change >"/sys/bus/pci/devices/$2/uevent"
		_left=$((_left - 1))
	done
}

# How many p2pd didn't get.
drops() {
	awk -v pid="$(main_pid)" '$2 == 15 && $3 == pid { sum += $9 } END { print sum + 0 }' \
		/proc/net/netlink
}

ok "p2pd lists the drive's buffer" wait_for 10 lists "$drive/p2pmem"
fails_with "allocate" "and says why nobody can lease it" as bob p2pctl acquire -l 4096 "$drive" -- true
hold alice alice -r remove rxe0 "$exporter" lost
old=$(provider_of)

pid=$(main_pid)
kill -STOP "$pid"
storm 2000 "$nic"
ok "udevd has seen them all" udevadm settle --timeout=100
before=$(drops)
ok "p2pd has lost some" [ "$before" -gt 0 ]
figure uevents_lost "$before" events
ok "the exporter is unplugged" host device_del exporter
ok "another one is plugged into its slot" \
	host device_add "ivshmem-plain,id=second,bus=port0,memdev=spare"
ok "the kernel finds it" wait_for 20 test -e "/sys/bus/pci/devices/$exporter/resource2"
ok "it binds" bind "$exporter" p2pdma_export
ok "the drive is unbound" unbind "$drive"
ok "udevd has seen that" udevadm settle --timeout=100
ok "p2pd has lost all of it" [ "$(drops)" -ge $((before + 6)) ]
kill -CONT "$pid"

tap finish alice
ok "p2pd says that it has lost events" wait_for 10 in_journal PRIORITY=4 --grep="uevents were lost"
ok "it leases from the new function" wait_for 10 is_free_again
ok "which has another name" [ "$(provider_of)" != "$old" ]
fails_with "instead" "the old name means nothing any more" as bob p2pctl acquire -l 4096 "$old" -- true
fails "it lists the drive's buffer no more" lists "$drive/p2pmem"
ok "the lease ended because its function had gone" in_journal P2PD_AUDIT=ended P2PD_REASON=gone

spawn storm storm 100000 "$exporter"
LIMIT=20
hold bob bob rxe0 "$exporter" term
ok "in a storm others are served" as alice p2pctl acquire -l 1M "$exporter/2" -- true
ok "and the drive's return is noticed" bind "$drive" nvme
ok "soon" wait_for 20 lists "$drive/p2pmem"
ok "it still storms" kill "$(cat /tmp/storm.pid)"
done_with bob
ok "it is the same p2pd" [ "$(main_pid)" = "$pid" ]
ok "no unit has failed" [ -z "$(systemctl --failed --plain --no-legend)" ]
