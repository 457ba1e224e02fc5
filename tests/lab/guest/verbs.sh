# SPDX-License-Identifier: MIT
# The verbs that scenarios are written in. Every test case is one of
#   ok NAME COMMAND...                  passes when the command exits 0 (77: skipped)
#   fails NAME COMMAND...               passes when it exits 1..125
#   fails_with ERRNO NAME COMMAND...    ... and its output names that errno
#   prints TEXT NAME COMMAND...         passes when it exits 0 and prints TEXT
#   tap PROGRAM ARGUMENTS...            a program that reports its own cases (TAP)
#   skip NAME REASON
# A command is ended after $LIMIT seconds, times $STRETCH, which the host sets on slow or busy
# machines. Its output is sent when it failed.
LIMIT=${LIMIT:-60}
STRETCH=${STRETCH:-1}
OUT=/tmp/out

report() {
	echo "$1 $2" >&3
}

note() {
	echo "| $*" >&3
}

tell_file() {
	[ -s "$1" ] && sed 's/^/| /' "$1" >&3
}

# run COMMAND...: under the time limit, output in $OUT. Shell functions run as they are.
run() {
	echo "> $*" >&3
	case $(type "$1" 2>/dev/null) in
	*function*) "$@" >$OUT 2>&1 </dev/null ;;
	*) timeout -k 5 $((LIMIT * STRETCH)) "$@" >$OUT 2>&1 </dev/null ;;
	esac
	RC=$?
	[ $RC -eq 143 ] || [ $RC -eq 124 ] && echo "(ended after $((LIMIT * STRETCH)) s)" >>$OUT
	return $RC
}

verdict() {
	if [ "$1" = 0 ]; then
		report ok "$2"
		[ -n "${VERBOSE:-}" ] && tell_file $OUT
	else
		report "not ok" "$2"
		note "exit status $RC"
		tell_file $OUT
	fi
	return 0
}

ok() {
	_name=$1
	shift
	run "$@"
	if [ $RC -eq 77 ]; then
		skip "$_name" "$(tail -n 1 $OUT)"
		return
	fi
	verdict $RC "$_name"
}

fails() {
	_name=$1
	shift
	run "$@"
	[ $RC -ge 1 ] && [ $RC -le 125 ] && [ $RC -ne 124 ]
	verdict $? "$_name"
}

fails_with() {
	_errno=$1
	_name=$2
	shift 2
	run "$@"
	[ $RC -ge 1 ] && [ $RC -le 125 ] && [ $RC -ne 124 ] && grep -qw -e "$_errno" $OUT
	verdict $? "$_name"
}

prints() {
	_text=$1
	_name=$2
	shift 2
	run "$@"
	[ $RC -eq 0 ] && grep -qF -e "$_text" $OUT
	verdict $? "$_name"
}

skip() {
	echo "skip $1 # $2" >&3
}

# tap PROGRAM ARGUMENTS...: "ok N - NAME", "not ok ...", "... # SKIP reason", and a plan "1..N".
# $TAP_LABEL stands before the cases' names, the program's name where it is empty.
# Returns the program's exit status; its output stays in $OUT.
TAP_LABEL=
tap() {
	run "$@"
	[ "$1" = finish ] && shift
	awk -v program="${TAP_LABEL:-$(basename "$1")}" -v status=$RC -f /lab/tap.awk $OUT >&3
	return $RC
}

# tell TEXT: a line for the person who runs `lab run --story`, as it happens.
tell() {
	echo "tell $*" >&3
}

# tells COMMAND...: runs it, under the time limit, and tells every line that it prints.
tells() {
	echo "> $*" >&3
	{
		timeout -k 5 $((LIMIT * STRETCH)) "$@" 2>&1 </dev/null
		echo $? >/tmp/tells.rc
	} | while IFS= read -r _line; do
		echo "tell $_line" >&3
	done
	RC=$(cat /tmp/tells.rc)
	return "$RC"
}

# figure KEY VALUE UNIT: a measured number for the result file.
figure() {
	echo "figure $1 $2 $3" >&3
}

# row KEY=VALUE...: a row of docs/matrix.md.
row() {
	echo "row $*" >&3
}

# host REQUEST...: ask the host (see lablib/host.py); prints its answer.
host() {
	echo "host $*" >&3
	read -r _word _rc _answer <&3
	[ -n "$_answer" ] && echo "$_answer"
	return "$_rc"
}

# bdf_of ID: the PCI address of the QEMU device ID.
bdf_of() {
	host bdf "$1"
}

driver_of() {
	[ -e "/sys/bus/pci/devices/$1/driver" ] || return 1
	basename "$(readlink "/sys/bus/pci/devices/$1/driver")"
}

unbind() {
	[ -e "/sys/bus/pci/devices/$1/driver" ] || return 0
	echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
}

# bind BDF DRIVER: by driver_override; the one before lets go first.
bind() {
	unbind "$1" || return 1
	echo "$2" >"/sys/bus/pci/devices/$1/driver_override" || return 1
	wait_for 3 is_probed_by "$1" "$2"
}

# A function that has just been plugged shows its files a moment before drivers are matched with it.
is_probed_by() {
	echo "$1" >/sys/bus/pci/drivers_probe || return 1
	[ "$(driver_of "$1")" = "$2" ]
}

# wait_for SECONDS COMMAND...: until the command succeeds; times $STRETCH as well.
wait_for() {
	_end=$(($(cut -d. -f1 /proc/uptime) + $1 * STRETCH))
	shift
	until "$@"; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$_end" ] || return 1
		sleep 0.1
	done
}

# lose ID WAY: the QEMU device ID is unbound from its driver, removed by sysfs or unplugged.
lose() {
	_function=$(bdf_of "$1") || return 1
	case $2 in
	unbind) unbind "$_function" ;;
	remove) echo 1 >"/sys/bus/pci/devices/$_function/remove" ;;
	unplug) host device_del "$1" ;;
	*) return 1 ;;
	esac
}

# regain BDF WAY DRIVER QEMU-OPTIONS: what was lost that way is there again, and bound.
regain() {
	case $2 in
	unbind) ;;
	remove) echo 1 >/sys/bus/pci/rescan ;;
	unplug) host device_add "$4" ;;
	*) return 1 ;;
	esac
	wait_for 20 test -e "/sys/bus/pci/devices/$1/config" && bind "$1" "$3"
}

# group_is_viable BDF: can VFIO have it, or does its IOMMU group hold another driver's device, too?
# Kernels differ in what they isolate: the debug kernel puts all that is below a switch together.
group_is_viable() {
	for _device in "/sys/bus/pci/devices/$1/iommu_group/devices"/*; do
		case $(readlink "$_device/driver") in
		"" | */vfio-pci | */pcieport) ;;
		*) return 1 ;;
		esac
	done
}

# spawn TAG COMMAND...: in the background, output in /tmp/TAG.out.
spawn() {
	_tag=$1
	shift
	echo "> $* &" >&3
	"$@" >"/tmp/$_tag.out" 2>&1 </dev/null &
	echo $! >"/tmp/$_tag.pid"
}

# says TAG TEXT: has the background command TAG printed TEXT?
says() {
	grep -qF -e "$2" "/tmp/$1.out"
}

# finish TAG: wait for a background command (at most $LIMIT s); its exit status, its output.
finish() {
	_pid=$(cat "/tmp/$1.pid")
	_waited=0
	while [ -d "/proc/$_pid" ] && [ "$(cut -d' ' -f3 "/proc/$_pid/stat" 2>/dev/null)" != Z ]; do
		sleep 0.1
		_waited=$((_waited + 1))
		if [ $_waited -ge $((LIMIT * STRETCH * 10)) ]; then
			cat "/tmp/$1.out"
			echo "($1 still runs after $((LIMIT * STRETCH)) s)"
			kill -9 "$_pid"
			return 124
		fi
	done
	wait "$_pid"
	_status=$?
	cat "/tmp/$1.out"
	return $_status
}

# can_inject: this kernel has fault injection; then each thread may ask for faults (fail-nth), silently.
can_inject() {
	[ -e /sys/kernel/debug/failslab ] || return 1
	for _fault in failslab fail_page_alloc fail_usercopy; do
		echo N >/sys/kernel/debug/$_fault/task-filter
		echo 0 >/sys/kernel/debug/$_fault/verbose
		[ ! -e /sys/kernel/debug/$_fault/ignore-gfp-wait ] || echo N >/sys/kernel/debug/$_fault/ignore-gfp-wait
		[ ! -e /sys/kernel/debug/$_fault/min-order ] || echo 0 >/sys/kernel/debug/$_fault/min-order
	done
}

drop_caches() {
	echo 3 >/proc/sys/vm/drop_caches
}

# settle: let the kernel do what it has put off, and give back what it only keeps.
# Unloading a module makes vmalloc free the areas that it unmaps lazily.
settle() {
	sync
	modprobe dummy numdummies=0 && rmmod dummy
	drop_caches
	sleep 2
	drop_caches
	for _cache in /sys/kernel/slab/*/shrink; do
		echo 1 >"$_cache"
	done 2>/dev/null
	return 0
}

# slab_snapshot FILE: the objects in use in each slab cache.
slab_snapshot() {
	settle
	awk 'NR > 2 { print $1, $2 }' /proc/slabinfo >"$1"
}

# slab_comes_back BEFORE LIMIT: fails, naming them, where caches stay grown by more than LIMIT objects.
# What was freed may take its time to come back, what is lost doesn't come.
slab_comes_back() {
	for _look in 1 2 3 4 5; do
		slab_snapshot /tmp/now
		awk -v limit="$2" '
			NR == FNR { before[$1] = $2; next }
			$2 - before[$1] > limit { print $1 ": " before[$1] + 0 " -> " $2; grown = 1 }
			END { exit grown }' "$1" /tmp/now && return 0
	done
	return 1
}

# slab_count CACHE: the objects in use in one slab cache.
slab_count() {
	settle
	awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' /proc/slabinfo
}

# has_symbol NAME: is there such a function in the kernel?
has_symbol() {
	grep -qw "$1" /proc/kallsyms
}

# interface_of BDF: the name of a virtio card's network interface.
interface_of() {
	set -- "/sys/bus/pci/devices/$1"/virtio*/net/*
	[ -e "$1" ] && basename "$1"
}

# rxe_up ID: soft-RoCE on the network card ID (or on the interface of that name), with the
# address 192.0.2.1; of two guests the second has 192.0.2.2.
rxe_up() {
	_if=$1
	modprobe virtio_net && modprobe rdma_rxe && modprobe ib_uverbs || return 1
	if [ ! -e "/sys/class/net/$1" ]; then
		_bdf=$(bdf_of "$1") || return 1
		_if=$(interface_of "$_bdf") || return 1
	fi
	# It may have been up before.
	ip addr replace "192.0.2.$((1 + PEER))/24" dev "$_if" || return 1
	ip link set "$_if" up || return 1
	rdma_link add "${2:-rxe0}" rxe "$_if" || return 1
	wait_for 10 [ -e /dev/infiniband/uverbs0 ]
}
