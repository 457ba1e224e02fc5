# SPDX-License-Identifier: MIT
#: title = memory of DRM devices: RDMA both ways, whose memory it is, what they import
#: flavour = generic
#: modules = p2pdma_export vgem
#: needs = p2pdma_drm gpu_vram p2pctl rdma_link explain_register explain_node explain_end
#: device = virtio-gpu-pci,id=gpu,bus=spare0
#: timeout = 120
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
vgem=$(echo /dev/dri/card*)
ok "vgem has a node" [ -c "$vgem" ]
CARD=$vgem
NODE=$(echo /dev/dri/renderD*)
export CARD NODE
TAP_LABEL=render tap explain_node drm rxe0 "$exporter/2"
nodes=$vgem
if modprobe virtio_gpu 2>/dev/null; then
	nodes=$(echo /dev/dri/card*)
	ok "virtio-gpu has a node" [ "$nodes" != "$vgem" ]
	gpu=$(bdf_of gpu)
	prints "virtio_gpu by /dev/dri/render" "it is listed" p2pctl list --direct
	prints "in system memory" "gpu_vram of its function, with leave" \
		gpu_vram "$gpu/vram" rxe0 1048576 system
else
	skip "virtio-gpu has a node" "this kernel has no virtio-gpu"
fi
# shellcheck disable=SC2086
tap p2pdma_drm "$exporter/2" rxe0 $nodes
prints "in system memory" "gpu_vram, with leave" gpu_vram "$vgem" rxe0 1048576 system
fails_with "system memory" "gpu_vram, without" gpu_vram "$vgem" rxe0
fails "gpu_vram of a BAR" gpu_vram "$exporter/2" rxe0

if [ -n "${gpu:-}" ]; then
	set -- "/sys/bus/pci/devices/$gpu"/virtio*/drm/card*
	[ -e "$1" ] || set -- "/sys/bus/pci/devices/$gpu"/drm/card*
	GPU=$(basename "$1")
	export GPU
	spawn hold explain_end gpu rxe0 "$exporter/2"
	ok "the GPU is in use" wait_for 10 says hold READY
	ok "it leaves" sh -c "echo 1 >/sys/bus/pci/devices/$gpu/remove"
	TAP_LABEL=gpu tap finish hold
fi

# This kernel's own soft-RoCE, which has none of our patches.
if [ -e /lab/rdma_rxe.ko ]; then
	# A link may hold the module.
	nic=$(bdf_of nic)
	ok "the network card leaves" lose nic unbind
	ok "so does our soft-RoCE" wait_for 5 rmmod rdma_rxe
	ok "the distribution's comes" insmod /lab/rdma_rxe.ko
	ok "with the network card" regain "$nic" unbind virtio-pci
	ok "it comes up" rxe_up nic
	TAP_LABEL=stock tap explain_register driver rxe0 "$exporter/2"
else
	skip "the distribution's soft-RoCE" "this kernel was built without it"
fi
