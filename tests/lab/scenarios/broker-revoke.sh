# SPDX-License-Identifier: MIT
#: title = an administrator takes leases back, with and without their holders' help
#: userland = systemd
#: kernel = distribution
#: modules = p2pdma_export
#: needs = broker_hold p2pctl rdma_link
#: timeout = 240
. /lab/broker.sh
usual_policy
broker_up

hold alice alice -r admin rxe0 "$exporter" ack
ok "revoked: she stops and says so" as carol p2pctl revoke --deadline 60s "$(lease_of alice)"
tap finish alice

hold alice alice -r admin rxe0 "$exporter" ignore
ok "revoked: she goes on" as carol p2pctl revoke --deadline 2s "$(lease_of alice)"
tap finish alice

hold alice alice -r admin rxe0 "$exporter" ignore
place=$(offset_of alice)
kill -STOP "$(cat /tmp/alice.pid)"
ok "revoked: she is stopped by SIGSTOP" as carol p2pctl revoke --deadline 1s "$(lease_of alice)"
ok "another user gets the same slice" wait_for 10 as bob p2pctl acquire \
	--range "$place:1M" "$exporter/2" -- true
kill -CONT "$(cat /tmp/alice.pid)"
tap finish alice

hold alice alice -r admin rxe0 "$exporter" lost
ok "revoked: nobody is asked" as carol p2pctl revoke --now "$(lease_of alice)"
tap finish alice

hold alice alice -r admin rxe0 "$exporter" ack
hold bob bob rxe0 "$exporter" term
ok "all of one user's are revoked" as carol p2pctl revoke --deadline 60s --user alice
tap finish alice
done_with bob

hold alice alice -r drain rxe0 "$exporter" ack
ok "the provider is drained" as carol p2pctl drain --deadline 60s "$exporter/2"
tap finish alice
ok "nobody gets anything of it" exits 6 as bob p2pctl acquire -l 4096 "$exporter/2" -- true
ok "the draining ends" as carol p2pctl drain --undo "$exporter/2"

hold alice alice rxe0 "$exporter" term
kill -KILL "$(cat /tmp/alice.pid)"
ok "a holder's death gives everything back" \
	wait_for 10 as bob p2pctl acquire -l 64M "$exporter/2" -- true

# soft-RoCE plays an importer that can't be revoked
echo 0 >/sys/module/rdma_rxe/parameters/dmabuf_revocable
fails_with EOPNOTSUPP "such an importer is refused" as bob broker_hold rxe0 "$exporter" lost
fails_with EOPNOTSUPP "p2pd may not allow it" as bob broker_hold -u rxe0 "$exporter" lost
mkdir -p /etc/udev/rules.d
printf 'ACTION!="remove", SUBSYSTEM=="p2pdma_export", KERNEL=="%s", ATTR{allow_unrevocable}="1"\n' \
	"$exporter" >/etc/udev/rules.d/61-p2pd-unrevocable.rules
ok "a rule of udev gives leave for the device" sh -c \
	"udevadm control --reload && udevadm trigger --settle --subsystem-match=p2pdma_export"
ok "p2pd has no capability all the time" grep -q '^CapEff:.0*$' "/proc/$(main_pid)/status"
hold alice alice -u -r admin rxe0 "$exporter" pinned
prints "1 still mapped" "revoking says that not all of it is over" \
	as carol p2pctl revoke --now "$(lease_of alice)"
tap finish alice
ok "then everything is free" wait_for 10 as bob p2pctl acquire -l 64M "$exporter/2" -- true
hold alice alice -u -r remove rxe0 "$exporter" pinned
spawn unbinding sh -c "echo $exporter >/sys/bus/pci/drivers/p2pdma_export/unbind"
ok "her lease is hers while the removal is pending" \
	wait_for 10 sh -c "p2pctl leases $exporter/2 | grep -q 'revoking.*remove'"
ok "the function isn't bound any more by then" [ ! -e "/sys/bus/pci/drivers/p2pdma_export/$exporter" ]
tap finish alice
ok "the removal, which was pending, completes" finish unbinding
ok "the function is free" [ ! -e "/sys/bus/pci/devices/$exporter/driver" ]
