# SPDX-License-Identifier: MIT
#: title = the guest boots and the kernel has what everything else stands on
#: timeout = 60
release=$(uname -r | awk -F. '{ print $1 * 1000 + $2 }')
ok "the kernel is 6.19 or newer" [ "$release" -ge 6019 ]
ok "the exporter device is there" test -e "/sys/bus/pci/devices/$(bdf_of exporter)/resource2"
ok "peer-to-peer DMA is in the kernel" has_symbol pcim_p2pdma_provider
ok "udmabuf is in the kernel" test -e /dev/udmabuf
fails "a missing function is not found" has_symbol no_such_symbol_anywhere
figure boot_to_shell "$(cut -d' ' -f1 /proc/uptime)" s
