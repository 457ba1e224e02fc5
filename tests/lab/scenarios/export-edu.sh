# SPDX-License-Identifier: MIT
#: title = the edu device's own DMA engine reaches an exported BAR, by every map type
#: modules = p2pdma_export p2pdma_edu
#: needs = edu_peer
#: timeout = 180
#: device = edu,id=edu,bus=spare0,dma_mask=0xffffffffffffffff
#: for topology = root-ports, switch
#: for iommu = off, on, pt
#: for cpu = EPYC, Skylake-Client
#: except = cpu=Skylake-Client topology=switch iommu=on
#: except = cpu=Skylake-Client topology=switch iommu=pt
exporter=$(bdf_of exporter)
edu=$(bdf_of edu)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "the edu driver has its device" wait_for 5 test -c "/dev/p2pdma-edu/$edu"
# What the kernel must decide here; see drivers/pci/p2pdma.c.
case $TOPOLOGY-$CPU-$IOMMU in
switch-*) expected=bus ;;
root-ports-Skylake-Client-*) expected=none ;;
root-ports-EPYC-on) expected=iova ;;
*) expected=phys ;;
esac
tap edu_peer -e $expected "/dev/p2pdma/$exporter" 2 "/dev/p2pdma-edu/$edu"
