# SPDX-License-Identifier: MIT
#: title = p2pd below p2pd-keeper, where there is no systemd
#: modules = p2pdma_export
#: needs = p2pd p2pd-keeper broker_hold p2pctl rdma_link
#: timeout = 120
mkdir -p /etc/p2pd /run/p2pd
printf '[daemon]\nreattach-time = 5min\n[rule users]\nuser = nobody\nallow = yes\nunrevocable = yes\n' \
	>/etc/p2pd/p2pd.conf

pid_of() {
	pidof p2pd
}

new_pid() {
	_new=$(pid_of) && [ "$_new" != "$1" ]
}

killed() {
	_old=$(pid_of)
	kill -KILL "$_old"
	wait_for 10 new_pid "$_old"
}

has_attached() {
	p2pctl stats | grep -qx "p2pd_attached_total $1"
}

is_asked_for() {
	p2pctl -b leases | grep -q revoking
}

# hold OPTIONS... END: nobody has a slice and moves data.
hold() {
	spawn holder su -s /bin/sh -c 'exec "$@"' -- nobody sh broker_hold "$@"
	ok "a user has a slice and moves data" wait_for 30 says holder READY
}

exporter=$(bdf_of exporter)
ok "the policy has no faults" p2pd --check
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
spawn keeper p2pd-keeper p2pd
ok "p2pd answers" wait_for 20 p2pctl status

hold rxe0 "$exporter" term
for round in 1 2 3; do
	ok "p2pd is killed and comes back ($round)" killed
	ok "the lease is taken up again ($round)" wait_for 30 has_attached 1
done
kill "$(cat /tmp/holder.pid)"
tap finish holder

hold -r admin rxe0 "$exporter" ignore
ok "the lease is taken at the deadline" p2pctl revoke --deadline 1s --all
tap finish holder

echo 0 >/sys/module/rdma_rxe/parameters/dmabuf_revocable
hold -u -r remove rxe0 "$exporter" pinned
spawn unbinding sh -c "echo $exporter >/sys/bus/pci/drivers/p2pdma_export/unbind"
ok "the lease is asked for" wait_for 10 is_asked_for
ok "p2pd is killed while the removal is pending" killed
ok "the lease is taken up again, and isn't over" wait_for 30 has_attached 1
tap finish holder
ok "the removal, which was pending, completes" finish unbinding
echo 1 >/sys/module/rdma_rxe/parameters/dmabuf_revocable
ok "the exporter binds again" bind "$exporter" p2pdma_export

hold -r remove rxe0 "$exporter" lost
took=$(host device_del exporter)
ok "the device is unplugged" [ -n "$took" ]
tap finish holder

kill "$(cat /tmp/keeper.pid)"
ok "both end when they are asked to" finish keeper
ok "the driver can be unloaded" rmmod p2pdma_export
