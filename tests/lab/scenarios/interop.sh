# SPDX-License-Identifier: MIT
#: title = libfabric, UCX and perftest of trixie with a slice of a BAR: docs/interop.md
#: modules = p2pdma_export rdma_ucm
#: needs = rdma_link
#: layer = interop
#: timeout = 240
#: memory = 1536
LIMIT=100
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
for dir in dev proc sys; do
	mount -o bind "/$dir" "/interop/$dir"
done
inside() {
	timeout $((LIMIT * STRETCH)) chroot /interop "$@"
}

prints "a peer's fi_write(), host -> BAR" \
	"libfabric and its peer move bytes into the BAR and out of it" \
	inside libfabric_mr "$exporter/2" 192.0.2.1
tell_file $OUT
ok "UCX puts bytes into the BAR and gets them out of it" inside ucx_put "$exporter/2" rxe0
tell_file $OUT
TAP_LABEL=ucx_mr tap inside ucx_mr "$exporter/2" rxe0

# A NIC without atomic operations on DMABUFs.
atomics=/sys/module/rdma_rxe/parameters/dmabuf_atomics
echo N >$atomics
prints "for a peer's reads and writes: Operation not supported" \
	"without atomics libfabric's peers get no access" inside libfabric_mr "$exporter/2" 192.0.2.1
TAP_LABEL=ucx_mr_without_atomics tap inside ucx_mr "$exporter/2" rxe0 refused
echo Y >$atomics

# Debian's own librxe has no reg_dmabuf_mr; libfabric has no way past it.
librxe=$(basename /interop/stock/librxe-*)
mount -o bind "/interop/stock/$librxe" "/interop/usr/lib/x86_64-linux-gnu/libibverbs/$librxe"
libfabric_on_stock() {
	inside libfabric_mr "$exporter/2" 192.0.2.1
	[ $? -eq 1 ]
}
prints "fi_mr_regattr() with FI_MR_DMABUF: Operation not supported" \
	"with Debian's librxe libfabric says that it is not supported" libfabric_on_stock

# perftest takes a file to map, and registers the mapping.
unbind "$exporter"
echo 1 >"/sys/bus/pci/devices/$exporter/enable"
perftest() {
	inside ib_write_bw -d rxe0 -s 4096 -n 5 --mmap="/sys/bus/pci/devices/$exporter/resource2" &
	sleep 2
	inside ib_write_bw -d rxe0 -s 4096 -n 5 192.0.2.1
	wait $!
	[ $? -ne 0 ]
}
prints "Couldn't allocate MR" "perftest can't register a mapping of the BAR" perftest
