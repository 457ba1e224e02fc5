# SPDX-License-Identifier: MIT
#: title = the machine sleeps while a memory region is on an export, and wakes up
#: modules = p2pdma_export
#: needs = mr_revoke mr_data rdma_link
#: timeout = 120
#: kernel = distribution
#: cmdline = no_console_suspend
#: image = packed
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
spawn revoke mr_revoke -t rxe0 "export:$exporter/2" external
ok "memory is registered and written" wait_for 30 says revoke READY
touch /tmp/no-poweroff
echo deep >/sys/power/mem_sleep
# Late enough for a slow machine to be asleep by then, or nothing would wake it.
echo +$((5 * STRETCH)) >/sys/class/rtc/rtc0/wakealarm
ok "the machine sleeps and wakes up" sh -c "echo mem >/sys/power/state"
tap finish revoke
tap mr_data rxe0 "export:$exporter/2"
