# SPDX-License-Identifier: MIT
#: title = another machine writes to a BAR of this one, until it is taken back
#: modules = p2pdma_export
#: needs = bw_server bw_client rdma_link
#: peers = 2
#: timeout = 150
LIMIT=100
ok "soft-RoCE comes up" rxe_up nic
if [ "$PEER" = 0 ]; then
	exporter=$(bdf_of exporter)
	ok "the exporter binds" bind "$exporter" p2pdma_export
	prints "all 1 MiB are right" "bw_server lends a slice of its BAR" \
		bw_server "$exporter/2" rxe0 1048576
else
	prints "the server has taken it back: remote access error" \
		"bw_client, plain verbs, writes to it" bw_client 192.0.2.1 rxe0 1
	awk '/ in flight/ { print $3, $5, $7 }' $OUT | sed 's/[^0-9. ]//g' |
		while read -r bytes mb writes; do
			figure "peer_write_$bytes" "$mb" MB/s
		done
fi
