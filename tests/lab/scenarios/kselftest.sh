# SPDX-License-Identifier: MIT
#: title = the selftest of the kernel series passes
#: modules = p2pdma_export
#: needs = p2pdma_export_test
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
# The BAR is memory that nobody needs.
export P2PDMA_EXPORT_NODE="/dev/p2pdma/$exporter" P2PDMA_EXPORT_WRITABLE=1
tap p2pdma_export_test
