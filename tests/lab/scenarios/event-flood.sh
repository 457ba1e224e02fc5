# SPDX-License-Identifier: MIT
#: title = events that nobody reads, and those that must not be lost
#: modules = p2pdma_export p2pdma_edu
#: needs = event_flood
#: device = edu,id=edu0,bus=spare0,dma_mask=0xffffffffffffffff
exporter=$(bdf_of exporter)
edu=$(bdf_of edu0)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "the edu importer binds" bind "$edu" p2pdma_edu
tap event_flood "/dev/p2pdma/$exporter" "/dev/p2pdma-edu/$edu"
