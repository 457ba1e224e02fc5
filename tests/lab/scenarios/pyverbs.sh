# SPDX-License-Identifier: MIT
#: title = pyverbs, which knows nothing of us, registers a slice that the library exported
#: modules = p2pdma_export
#: needs = lib_share rdma_link
#: layer = pyverbs
#: librxe = rebuilt
#: timeout = 240
#: memory = 1536
LIMIT=150
exporter=$(bdf_of exporter)
ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
for dir in dev proc sys; do
	mount -o bind "/$dir" "/pyverbs/$dir"
done
tap lib_share "$exporter/2" chroot /pyverbs /usr/bin/python3 /pyverbs_mr.py rxe0
awk 'BEGIN { for (i = 0; i < 65536; i++) printf "%02x", (i * 7 + 3) % 256 }' | xxd -r -p >/tmp/expected
ok "the host sees what pyverbs has written" \
	[ "$(sha256sum </tmp/expected | cut -d' ' -f1)" = "$(host barfile bar sha256 0x300000 0x10000)" ]
