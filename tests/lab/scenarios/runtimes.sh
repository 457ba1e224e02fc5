# SPDX-License-Identifier: MIT
#: title = system memory, and memory of GPU runtimes by its address, reached by a NIC
#: modules = p2pdma_export
#: needs = p2pdma_runtimes cuda_memory rdma_link
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
# The debug kernel and the distribution's have both.
ok "there are a system heap and udmabuf" test -c /dev/dma_heap/system -a -c /dev/udmabuf
export LD_LIBRARY_PATH=/lab/standins
tap p2pdma_runtimes "$exporter/2" rxe0
# The stand-in for CUDA alone: a device whose memory is udmabuf's.
fails_with "P2PDMA_BUFFER_ALLOW_SYSTEM" "cuda_memory isn't fobbed off with system memory" cuda_memory rxe0
prints "every byte right" "cuda_memory with leave for it" cuda_memory --allow-system rxe0
prints "every byte right" "cuda_memory with few bytes" cuda_memory --allow-system rxe0 3001
