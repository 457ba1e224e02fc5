# SPDX-License-Identifier: MIT
#: title = p2pd under its unit: users who may open no device node get slices, and lose them
#: userland = systemd
#: kernel = distribution
#: modules = p2pdma_export
#: needs = broker_hold p2pctl rdma_link
#: timeout = 240
. /lab/broker.sh
ok "the first process is systemd" [ "$(cat /proc/1/comm)" = systemd ]
ok "no unit has failed" [ -z "$(systemctl --failed --plain --no-legend)" ]
mkdir -p /var/lib/prometheus/node-exporter
ok "the folder for metrics becomes p2pd's, too" systemd-tmpfiles --create p2pd.conf
usual_policy
sed -i '/^admin-group/a metrics-file = /var/lib/prometheus/node-exporter/p2pd.prom' /etc/p2pd/p2pd.conf
printf '[rule tester]\nuser = nobody\nunit = tester.service\nallow = yes\n' >>/etc/p2pd/p2pd.conf
printf '[Service]\nType=oneshot\nUser=nobody\nExecStart=/usr/bin/p2pctl acquire -l 4096 -- /usr/bin/true\n' \
	>/etc/systemd/system/tester.service
broker_up
ok "the node becomes the group's" wait_for 10 [ -n "$(find /dev/p2pdma -group p2pd -perm 660)" ]
ok "p2pd does not run before anybody asks" [ "$(systemctl is-active $UNIT)" = inactive ]
prints "$exporter/2" "a user sees the provider" as alice p2pctl list
ok "p2pd runs now" [ "$(systemctl is-active $UNIT)" = active ]
ok "it runs as the user p2pd" [ "$(stat -c %U "/proc/$(main_pid)")" = p2pd ]
ok "it has no capability" grep -q "^CapBnd:	0*$" "/proc/$(main_pid)/status"
exposure=$(systemd-analyze security --no-pager $UNIT | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p')
ok "its exposure is at most 1.5" awk "BEGIN { exit !(${exposure:-10} <= 1.5) }"
figure exposure "${exposure:-10}" points

hold alice alice rxe0 "$exporter" term
fails "another user does not get the same slice" as bob p2pctl acquire \
	--range "$(offset_of alice):4096" "$exporter/2" -- true
prints "by p2pdma_export_core" "he does get another one" as bob p2pctl acquire -l 1M "$exporter/2" -- \
	sh -c 'echo "by $P2PDMA_EXPORTER"'
ok "and not the whole, which is not possible" exits 6 as bob p2pctl acquire -l 64M "$exporter" -- true
ok "who isn't named by the policy is denied" exits 4 as nobody p2pctl acquire -l 4096 "$exporter" -- true
ok "but may in the unit that is named" systemctl start tester.service
ok "what isn't there isn't found" exits 5 as bob p2pctl acquire -l 4096 0000:7f:00.0 -- true
ok "a user may not revoke" exits 4 as bob p2pctl revoke "$(lease_of alice)"
done_with alice

spawn short as alice broker_hold -t 3000 -r expired rxe0 "$exporter" ignore
tap finish short

ok "a grant is in the journal, with its fields" \
	in_journal P2PD_AUDIT=granted P2PD_UID=1001 P2PD_RULE=users "P2PD_LABEL=broker_hold"
ok "a denial, too" in_journal P2PD_AUDIT=denied P2PD_UID=65534
ok "and the end of the lease that expired" in_journal P2PD_AUDIT=ended P2PD_REASON=expired
ok "metrics are written for node_exporter to read" \
	wait_for 20 as nobody grep -q "^p2pd_granted_total [1-9]" /var/lib/prometheus/node-exporter/p2pd.prom

hold alice alice -r policy rxe0 "$exporter" ack
echo "nonsense = 1" >/etc/p2pd/conf.d/broken.conf
ok "reloading a policy with faults fails" sh -c "! systemctl reload $UNIT"
ok "a policy with faults is told with its line" wait_for 10 in_journal PRIORITY=3 --grep=broken.conf:1
ok "also by the service" sh -c "systemctl show -P StatusText $UNIT | grep -q broken.conf:1"
ok "by p2pctl" sh -c "p2pctl status 2>&1 | grep -q 'refused 1 times'"
ok "and by its metrics" sh -c "p2pctl stats | grep -q '^p2pd_policy_reload_failed 1'"
ok "and nobody loses anything" says alice READY
rm /etc/p2pd/conf.d/broken.conf
sed -i 's/^user = alice, bob/user = bob/' /etc/p2pd/p2pd.conf
ok "the policy is read again" systemctl reload $UNIT
ok "and nobody complains any more" wait_for 10 \
	sh -c "p2pctl stats | grep -q '^p2pd_policy_reload_failed 0'"
tap finish alice
ok "what the policy forbids is denied" exits 4 as alice p2pctl acquire -l 4096 "$exporter" -- true
mkdir -p /etc/systemd/system/p2pd.service.d
printf '[Service]\nType=notify-reload\nExecReload=\nExecReload=/usr/sbin/p2pd --check\n' >/etc/systemd/system/p2pd.service.d/type.conf
ok "as newer systemd does it, too" sh -c "systemctl daemon-reload && systemctl restart $UNIT"
sed -i 's/^user = bob/user = alice, bob/' /etc/p2pd/p2pd.conf
ok "reloading waits until it is done" systemctl reload $UNIT
ok "and then the new policy holds" as alice p2pctl acquire -l 4096 "$exporter" -- true
journal=$(systemctl show -P MainPID systemd-journald.service)
kill -STOP "$journal"
LIMIT=10
# root's lines aren't limited in number
ok "while the journal hangs, root makes a thousand lines" \
	p2pctl bench -n 500 -l 4096 "$exporter/2"
ok "and nobody waits for it" as carol p2pctl status
kill -CONT "$journal"
ok "the journal goes on" as carol p2pctl status
ok "what it didn't take is told" wait_for 10 in_journal --grep="lines were lost"
ok "no unit has failed in the end" [ -z "$(systemctl --failed --plain --no-legend)" ]
