# SPDX-License-Identifier: MIT
#: title = p2pd is restarted and killed, and transfers don't notice; what was published, too
#: userland = systemd
#: kernel = distribution
#: modules = p2pdma_export
#: needs = broker_hold broker_publish p2pctl rdma_link
#: timeout = 240
. /lab/broker.sh
usual_policy
broker_up

# Has the new p2pd its leases' holders back?
has_attached() {
	p2pctl stats | grep -qx "p2pd_attached_total $1"
}

new_pid() {
	_new=$(main_pid)
	[ "$_new" != 0 ] && [ "$_new" != "$1" ]
}

killed() {
	_old=$(main_pid)
	kill -KILL "$_old"
	wait_for 10 new_pid "$_old"
}

hold alice alice rxe0 "$exporter" term
hold bob bob rxe0 "$exporter" term
ok "systemd keeps the device and the journal" \
	[ "$(systemctl show -P NFileDescriptorStore $UNIT)" = 2 ]
ok "p2pd is restarted" systemctl restart $UNIT
ok "both take their leases up again" wait_for 20 has_attached 2
for round in 1 2; do
	ok "p2pd is killed and comes back ($round)" killed
	ok "both take their leases up again ($round)" wait_for 20 has_attached 2
done
for round in 1 2 3 4 5; do
	killed
done
ok "after five more deaths, too" wait_for 20 has_attached 2
ok "nothing is granted twice" exits 6 \
	as bob p2pctl acquire --range "$(offset_of alice):1M" "$exporter/2" -- true
done_with alice

fails_with EACCES "whom no rule lets publish is told so" \
	as bob broker_publish "$exporter" scratch 1048576
spawn publisher as alice broker_publish "$exporter" scratch 1048576
ok "a user publishes a DMABUF" wait_for 20 says publisher READY
hold reader bob -l 1048576 -s -r publisher rxe0 published:scratch lost
ok "p2pd is killed" killed
ok "publisher and holders come back" wait_for 20 has_attached 3
prints scratch "it is published" as bob p2pctl list
kill -KILL "$(cat /tmp/publisher.pid)"
tap finish reader
done_with bob

hold alice alice -r broker rxe0 "$exporter" lost
ok "p2pd alone is stopped: leases end" systemctl stop $UNIT
tap finish alice
ok "whose holder found a new one, by the socket" [ "$(systemctl is-active $UNIT)" = active ]

hold alice alice rxe0 "$exporter" term
mkdir -p /etc/p2pd/conf.d
echo "nonsense = 1" >/etc/p2pd/conf.d/broken.conf
kill -KILL "$(main_pid)"
ok "p2pd does not start with a policy that has faults" wait_for 10 in_journal --grep=broken.conf:1
rm /etc/p2pd/conf.d/broken.conf
ok "without them it goes on, and no lease is lost" wait_for 20 has_attached 1
done_with alice

ok "p2pd and its socket are stopped" systemctl stop p2pd.socket $UNIT
ok "nothing is kept" [ "$(systemctl show -P NFileDescriptorStore $UNIT)" = 0 ]
ok "who asks is told that it isn't there" exits 3 as bob p2pctl list
ok "no unit has failed" [ -z "$(systemctl --failed --plain --no-legend)" ]
