# SPDX-License-Identifier: MIT
#: title = the kernel maps an export for itself where that is allowed, and removal waits for it
#: modules = p2pdma_export p2pdma_edu
#: needs = edu_vmap
#: timeout = 120
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
# What dma_buf_vmap() does when an exporter refuses: the last case provokes it.
#: allow = WARNING: .*dma_buf_vmap
#: allow = Modules linked in:
exporter=$(bdf_of exporter)
edu=$(bdf_of edu)

# warnings: how often the kernel has warned.
warnings() {
	dmesg | grep -c 'WARNING: '
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "the edu driver has its device" wait_for 5 test -c "/dev/p2pdma-edu/$edu"

spawn external edu_vmap -x "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
ok "the kernel writes to the BAR" wait_for 20 says external WRITTEN
prints 3c3c3c3c "the host sees its bytes" host barfile bar hex 0x40ffc 4
prints 0000 "the host sees no more than them" host barfile bar hex 0x41000 2
ok "the host writes to the BAR" host barfile bar fill 0x40000 4096 0x99
tap finish external

tap edu_vmap "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
ok "no refusal has made the kernel warn" [ "$(warnings)" = 0 ]
ok "the exporter binds again" bind "$exporter" p2pdma_export
tap edu_vmap -w "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
