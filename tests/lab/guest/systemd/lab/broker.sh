# SPDX-License-Identifier: MIT
# Verbs for scenarios with p2pd.
UNIT=p2pd.service

# policy: standard input becomes the configuration.
policy() {
	mkdir -p /etc/p2pd && cat >/etc/p2pd/p2pd.conf
}

# What most scenarios want: two users may, one administrates.
usual_policy() {
	policy <<'END'
[daemon]
admin-group = p2pd-admin
revoke-deadline = 5s
reattach-time = 5min

[rule users]
user = alice, bob
allow = yes
unrevocable = yes

[rule publishers]
user = alice
publish = scratch
allow = yes
END
}

# broker_up: the socket as an administrator enables it, an exporter, soft-RoCE.
broker_up() {
	exporter=$(bdf_of exporter)
	ok "the socket is enabled and listens" systemctl -q enable --now p2pd.socket
	ok "the exporter binds" bind "$exporter" p2pdma_export
	ok "soft-RoCE comes up" rxe_up nic
}

# The exporter's name with its generation, as p2pd lists it now.
provider_of() {
	as bob p2pctl list --no-headings 2>/dev/null | sed -n "s/^\($exporter[^ ]*\) .*/\1/p"
}

# Nobody has anything of it.
is_free_again() {
	as bob p2pctl acquire -l 64M "$exporter/2" -- true
}

main_pid() {
	systemctl show -P MainPID $UNIT
}

# hold TAG USER OPTIONS... SELECTOR END: broker_hold in the background, until it has moved data.
hold() {
	_tag=$1
	_user=$2
	shift 2
	spawn "$_tag" as "$_user" broker_hold "$@"
	wait_for 30 has_begun "$_tag"
	ok "$_user has a slice and moves data" says_all "$_tag" READY
}

# It moves data, or has given up.
has_begun() {
	says "$1" READY || [ ! -e "/proc/$(cat "/tmp/$1.pid")" ]
}

# As `says`, and shows everything where it doesn't.
says_all() {
	says "$1" "$2" || { cat "/tmp/$1.out"; return 1; }
}

lease_of() {
	sed -n 's/^# lease \([0-9]*\) of.*/\1/p' "/tmp/$1.out"
}

offset_of() {
	sed -n 's/^# lease .* at \([0-9]*\)$/\1/p' "/tmp/$1.out"
}

# done_with TAG: SIGTERM, and its cases.
done_with() {
	kill "$(cat "/tmp/$1.pid")"
	tap finish "$1"
}

# in_journal FIELD=VALUE...: has p2pd logged such a line?
in_journal() {
	[ -n "$(journalctl -q -n 1 -o cat -u $UNIT "$@")" ]
}

# The journal of p2pd goes into the transcript, for whoever looks for a fault.
show_journal() {
	journalctl -q -o short-monotonic --no-pager -u $UNIT | sed 's/^/log: /' >&3
}
trap show_journal EXIT
