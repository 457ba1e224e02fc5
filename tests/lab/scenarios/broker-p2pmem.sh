# SPDX-License-Identifier: MIT
#: title = leases of p2pmem: for one at a time, given back by who has it or taken with the driver
#: userland = systemd
#: needs = p2pctl nvme_cmb
#: topology = switch
#: file = data0:32
#: file = data1:32
#: qemu = -blockdev driver=file,node-name=disk0,filename=@files@/data0
#: qemu = -blockdev driver=file,node-name=disk1,filename=@files@/data1
#: device = nvme,id=ssd0,serial=ssd0,drive=disk0,bus=spare0
#: device = nvme,id=ssd1,serial=ssd1,drive=disk1,bus=spare1,cmb_size_mb=16
#: timeout = 240
. /lab/broker.sh
disk_of() {
	set -- "/sys/bus/pci/devices/$1"/nvme/nvme*/nvme*n1
	[ -e "$1" ] && echo "/dev/$(basename "$1")"
}

has_disk() {
	disk_of "$1" >/dev/null
}

same_bytes() {
	[ "$(host barfile data0 sha256 0 0x100000)" = "$(host barfile data1 sha256 0 0x100000)" ]
}

ssd0=$(bdf_of ssd0)
ssd1=$(bdf_of ssd1)
pool=$ssd1/p2pmem
files=/sys/bus/pci/devices/$ssd1/p2pmem

available() {
	cat "$files/available"
}

is_full() {
	[ "$(available)" = "$full" ]
}

is_of_p2pd() {
	[ "$(stat -c %G "$files/allocate")" = p2pd ]
}

# holder TAG USER: somebody who has a MiB of the pool, until it is wanted back.
holder() {
	spawn "$1" as "$2" p2pctl acquire --allow-unrevocable -l 1M "$pool"
	wait_for 20 has_taken
	ok "$2 has a MiB of it" [ "$(available)" = $((full - 0x100000)) ]
}

has_taken() {
	[ "$(available)" = $((full - 0x100000)) ]
}

lease() {
	as carol p2pctl -b leases --no-headings | awk -v pool="$pool" 'index($0, pool) { print $1 }'
}

is_granted() {
	as "$1" nvme_cmb "$pool" "$(disk_of "$ssd0")" "$(disk_of "$ssd0")" 64
}

is_over() {
	[ -z "$(lease)" ]
}

usual_policy
ok "the drives come up" wait_for 20 has_disk "$ssd0"
ok "so does the one with a memory buffer" wait_for 20 has_disk "$ssd1"
full=$(available)
ok "the socket is enabled and listens" systemctl -q enable --now p2pd.socket
prints "may not open that" "p2pd lists the pool, and why it can't lease it" as alice p2pctl list "$pool"
# What an administrator adds who lets p2pd have it: see p2pd(8).
mkdir -p /etc/udev/rules.d /etc/systemd/system/p2pd.service.d
cat >/etc/udev/rules.d/61-p2pd-p2pmem.rules <<'END'
ACTION!="remove", SUBSYSTEM=="pci", DRIVER=="nvme", TEST=="p2pmem/allocate", \
  RUN+="/bin/chgrp p2pd /sys%p/p2pmem/allocate"
END
printf '[Service]\nReadWritePaths=/sys/devices\n' >/etc/systemd/system/p2pd.service.d/p2pmem.conf
ok "the rules are read" sh -c "udevadm control --reload && systemctl daemon-reload"
ok "p2pd is started anew" systemctl restart p2pd
ok "the function is looked at" udevadm trigger --action=change "/sys/bus/pci/devices/$ssd1"
ok "the pool's file becomes p2pd's" wait_for 10 is_of_p2pd
is_ready() {
	as alice p2pctl list "$pool" | grep -q ready
}

ok "the pool can be leased" wait_for 10 is_ready

fails "a user can't go around p2pd" as alice sh -c ": >>$files/allocate"
fails "nor get it without knowing what it is" as alice p2pctl acquire -l 1M "$pool" -- true
ok "the disks are for everybody here" chmod 666 "$(disk_of "$ssd0")" "$(disk_of "$ssd1")"
ok "random bytes for the first drive" dd if=/dev/urandom of="$(disk_of "$ssd0")" bs=1M count=1 conv=fsync
# The drive's own queues are in it.
out=$(($(cat "$files/size") - full))
ok "its driver has some of it" [ $out -gt 0 ]
fails_with "$out of its [0-9]* bytes are out" "what is out may be anybody's" is_granted alice
mkdir -p /etc/p2pd/conf.d
printf '[daemon]\np2pmem-driver-bytes = %d\n' $out >/etc/p2pd/conf.d/p2pmem.conf
ok "an administrator says that it is the driver's" systemctl reload p2pd
prints "no byte of it was in system memory" "alice copies through a lease" \
	as alice nvme_cmb "$pool" "$(disk_of "$ssd0")" "$(disk_of "$ssd1")" 1024
ok "the bytes have arrived" same_bytes
ok "the pool is full again" wait_for 5 is_full
ok "the lease is over" wait_for 5 is_over

holder alice alice
prints none "its lease says what can be forced" as carol p2pctl leases
fails "nobody else gets any" as bob p2pctl acquire --allow-unrevocable -l 4k "$pool"
ok "SIGKILL of p2pd" kill -KILL "$(main_pid)"
ok "the next p2pd answers" wait_for 30 as carol p2pctl status
ok "it has her lease" [ -n "$(lease)" ]
ok "she is stopped" kill -STOP "$(cat /tmp/alice.pid)"
ok "it is wanted back" as carol p2pctl revoke --deadline 1s "$(lease)"
sleep 3
ok "her lease is there beyond the deadline" [ -n "$(lease)" ]
fails "and nobody else gets any" as bob p2pctl acquire --allow-unrevocable -l 4k "$pool"
ok "she goes on" kill -CONT "$(cat /tmp/alice.pid)"
run finish alice
ok "and has heard of it" says_all alice "wanted back"
ok "all is there again" wait_for 5 is_full
ok "her lease is over" wait_for 5 is_over

holder bob bob
ok "he is killed" kill -KILL "$(cat /tmp/bob.pid)"
ok "all is there once more" wait_for 5 is_full
ok "his lease is over" wait_for 5 is_over

holder bob bob
ok "he is stopped" kill -STOP "$(cat /tmp/bob.pid)"
ok "p2pd is stopped, and what it knew is lost" systemctl stop p2pd
ok "another one begins" systemctl start p2pd
ok "it knows no lease" is_over
fails_with "$((out + 0x100000)) of its [0-9]* bytes are out" "nor does it grant what he still has" \
	is_granted alice
ok "he goes on" kill -CONT "$(cat /tmp/bob.pid)"
run finish bob
ok "and has given it back" wait_for 5 is_full
ok "now it is hers" is_granted alice

holder bob bob
ok "the driver leaves" unbind "$ssd1"
run finish bob
ok "he has heard of it" says_all bob "the lease was revoked"
ok "that lease is over, too" wait_for 5 is_over
ok "the driver comes back" bind "$ssd1" nvme
ok "with a pool for p2pd" wait_for 10 is_ready
ok "which can be leased" as bob nvme_cmb "$pool" "$(disk_of "$ssd0")" "$(disk_of "$ssd0")" 64
ok "no unit has failed in the end" [ -z "$(systemctl --failed --plain --no-legend)" ]
