# SPDX-License-Identifier: MIT
#: title = what p2pctl check advises is what helps
#: topology = multi-function
#: cpu = Skylake-Client
#: iommu = on
#: modules = p2pdma_export
#: needs = p2pctl explain_register mr_data rdma_link
#: for cmdline = pci=disable_acs_redir=0000:00:01.0 pci=disable_acs_redir=0000:00:1f.2, pci=disable_acs_redir=0000:00:01.0;0000:00:1f.2
exporter=$(bdf_of exporter)
nic=$(bdf_of nic)
# Of the two in the first boot the kernel takes the last: what it has of them stays.
advice="pci=disable_acs_redir=$(bdf_of port0);0000:00:1f.2"
says_of_check() {
	p2pctl check "$exporter/2" "$nic" | tee /tmp/check
	grep -qF -e "$1" /tmp/check
}

ok "the exporter binds" bind "$exporter" p2pdma_export
ok "soft-RoCE comes up" rxe_up nic
prints "kernel asked, says the same" "the kernel's own answer is the same" \
	sh -c "p2pctl check $exporter/2 $nic || true"
prints "$nic" "topo has the importer" p2pctl topo --json
# Who isn't shown ACS, and may not ask the module.
su -s /bin/sh nobody -c "p2pctl doctor --direct --all" >/tmp/nobody
ok "hidden ACS isn't told to be well" grep -E "^unknown +acs.port +machine .* such as $exporter/2 to rxe0" /tmp/nobody
ok "nor the path" grep -E "^unknown +provider.path +$exporter/2 .*it can't be told; rxe0:" /tmp/nobody
if [ "$CMDLINE" = "$advice" ]; then
	ok "it works, straight" p2pctl check "$exporter/2" rxe0
	prints "yes, BUS_ADDR, distance 2" "it says so" p2pctl check "$exporter/2" rxe0
	prints BUS_ADDR "it is the best there is" p2pctl best --all "$exporter/2"
	tap mr_data rxe0 "export:$exporter/2"
	ok "the doctor sees no port in the way" sh -c "p2pctl doctor --direct --all | grep -E '^ok +acs.port +machine '"
else
	fails "it doesn't work, as ACS redirects to a host bridge that forwards nothing" \
		p2pctl check "$exporter/2" rxe0
	ok "what to change is said to the letter" says_of_check "\"$advice\""
	ok "the reason is the port" says_of_check "ACS at $(bdf_of port0) redirects"
	ok "the doctor says it, too" sh -c "p2pctl doctor --direct --try >/tmp/doctor; [ \$? -eq 6 ]"
	ok "of the device by its name" grep -E "^problem +provider.path +$exporter/2 .* rxe0: ACS at" /tmp/doctor
	ok "of the port" grep -E "^problem +acs.port +$(bdf_of port0) " /tmp/doctor
	ok "with the same advice" grep -F "\"$advice\"" /tmp/doctor
	ok "and by what the kernel answers" grep -E "^problem +try.register .*EINVAL" /tmp/doctor
	tap mr_data -e EINVAL rxe0 "export:$exporter/2"
	tap explain_register path rxe0 "$exporter/2"
fi
