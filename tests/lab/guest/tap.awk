# SPDX-License-Identifier: MIT
# Turns a program's TAP into the lab's lines; a plan that isn't kept or a bad exit fails.
function clean(text) {
	sub(/^ok */, "", text)
	sub(/^[0-9]+ */, "", text)
	sub(/^- */, "", text)
	return program ": " text
}
/^ok/ && /# *SKIP/ {
	text = clean($0)
	reason = text
	sub(/ *# *SKIP.*/, "", text)
	sub(/.*# *SKIP */, "", reason)
	print "skip " text " # " reason
	seen++
	next
}
/^ok/ { print "ok " clean($0); seen++; next }
/^not ok/ { sub(/^not /, ""); print "not ok " clean($0); seen++; bad++; next }
/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; planned = 1; next }
/^figure / { print; next }
{ sub(/^# ?/, ""); print "| " $0 }
END {
	if (planned && plan == 0 && status == 77)
		print "skip " program " # nothing to do here"
	else if (!planned || plan != seen || seen == 0)
		print "not ok " program ": keeps its plan (" seen + 0 " of " (planned ? plan : "no plan") ")"
	else if (status != 0 && !bad)
		print "not ok " program ": exits 0 (it was " status ")"
}
